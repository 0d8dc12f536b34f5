package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/procpool/procpool"
)

// echoCBOR is echo with a codec's work.
var echoCBOR = procpool.Remote[[]byte, []byte]("echo")

// openPythonPool starts a pool of Python workers.
func (p *python) openPool(ctx context.Context) (pool, error) {
	if err := p.usable(); err != nil {
		return nil, err
	}
	return openPool(ctx, poolConfig{workers: workers, python: p})
}

func (p *python) openFutures(ctx context.Context, count int) (subject, error) {
	pool, err := p.openPool(ctx)
	if err != nil {
		return nil, err
	}
	return &futuresRun{pool: pool, count: count, lifetime: forever}, nil
}

func (p *python) openCaller(ctx context.Context, count int) (subject, error) {
	pool, err := p.openPool(ctx)
	if err != nil {
		return nil, err
	}
	return &caller{pool: pool, count: count}, nil
}

func (p *python) openEcho(ctx context.Context, count, size int, task *procpool.Func[[]byte, []byte]) (subject, error) {
	pool, err := p.openPool(ctx)
	if err != nil {
		return nil, err
	}
	payload := make([]byte, size)
	return &echoRun{count: count, size: size, close: pool.Close, echo: func(ctx context.Context) (int, error) {
		back, err := task.Call(ctx, pool, payload)
		return len(back), err
	}}, nil
}

func (p *python) openColdStart(ctx context.Context) (subject, error) {
	if err := p.usable(); err != nil {
		return nil, err
	}
	return openColdStart(ctx, partPythonPoolHost, p.interpreter, p.folder)
}

// A bare grpcio server, written as its documentation does it, and one stream to it:
// what of the figures of Python workers is grpcio's.

// openBare starts the server, opens a stream, and has a message go there and back.
func (p *python) openBare(ctx context.Context, count int) (*grpcPong, error) {
	if err := p.usable(); err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	peer, err := openGRPCServer(func(socket string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), p.interpreter, p.script("bare.py"), socket)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		go func() {
			_, err := bufio.NewReader(out).ReadString('\n')
			said <- err
		}()
		return cmd, nil
	})
	if err != nil {
		return nil, err
	}
	if err := <-said; err != nil {
		return nil, errors.Join(fmt.Errorf("the bare grpcio server did not start: %w", err), peer.Close())
	}
	return peer.pong(ctx, count)
}

func (p *python) openBarePong(ctx context.Context, count int) (subject, error) {
	return p.openBare(ctx, count)
}

// bareMessages sends all its messages without waiting for the answers.
type bareMessages struct{ *grpcPong }

func (p *python) openBareMessages(ctx context.Context, count int) (subject, error) {
	pong, err := p.openBare(ctx, count)
	return bareMessages{pong}, err
}

// Round measures how many come back a second.
func (r bareMessages) Round(context.Context) (figures, error) {
	start := time.Now()
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < r.count && err == nil; i++ {
			err = r.stream.SendMsg(wrapperspb.Int64(int64(i)))
		}
		sent <- err
	}()
	for i := range r.count {
		var n wrapperspb.Int64Value
		if err := r.stream.RecvMsg(&n); err != nil {
			return nil, errors.Join(err, <-sent)
		}
		if n.GetValue() != int64(i) {
			return nil, fmt.Errorf("message %d came back as %d", i, n.GetValue())
		}
	}
	return figures{"per_second": float64(r.count) / time.Since(start).Seconds()}, <-sent
}

func (p *python) openBareEcho(ctx context.Context, count, size int) (subject, error) {
	pong, err := p.openBare(ctx, count)
	if err != nil {
		return nil, err
	}
	payload := wrapperspb.Bytes(make([]byte, size))
	return &echoRun{count: count, size: size, close: pong.Close, echo: func(context.Context) (int, error) {
		back := new(wrapperspb.BytesValue)
		err := errors.Join(pong.stream.SendMsg(payload), pong.stream.RecvMsg(back))
		return len(back.GetValue()), err
	}}, nil
}

// bareStart starts a bare server each round, and has a message go there and back.
type bareStart struct{ *python }

func (p *python) openBareStart(context.Context) (subject, error) { return bareStart{p}, p.usable() }

// Round measures one start.
func (b bareStart) Round(ctx context.Context) (figures, error) {
	start := time.Now()
	pong, err := b.openBare(ctx, 1)
	if err != nil {
		return nil, err
	}
	n := wrapperspb.Int64(7)
	err = errors.Join(pong.stream.SendMsg(proto.Clone(n)), pong.stream.RecvMsg(n))
	took := time.Since(start)
	return figures{"ms": milliseconds(took)}, errors.Join(err, pong.Close())
}

// Close does nothing: a server lasts for a round.
func (bareStart) Close() error { return nil }
