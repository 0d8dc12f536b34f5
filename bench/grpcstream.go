package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A bare gRPC server in a process of its own, on a Unix socket, with the window sizes
// that keep gRPC from measuring its bandwidth. It streams numbers, in batches of about as
// many as one message of ours holds, and answers numbers with themselves.

const (
	grpcService = "procpool.bench.StreamService"
	grpcBatch   = 2048
	grpcWindow  = 4 << 20
)

// numberBatch has a list of byte strings, as a message that batches encoded values
// has; gRPC brings it for another purpose.
type numberBatch = grpc_reflection_v1.FileDescriptorResponse

// serveStreams is the server's process. It ends with its standard input.
func serveStreams(args []string) error {
	listener, err := net.Listen("unix", args[0]) //nolint:noctx // it is at once
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.StaticStreamWindowSize(grpcWindow), grpc.StaticConnWindowSize(grpcWindow))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: grpcService, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Numbers", ServerStreams: true, Handler: streamNumbers},
			{StreamName: "Pong", ServerStreams: true, ClientStreams: true, Handler: streamPong},
		},
	}, struct{}{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, we do
		server.Stop()
	}()
	return server.Serve(listener)
}

func streamNumbers(_ any, stream grpc.ServerStream) error {
	var n wrapperspb.Int64Value
	if err := stream.RecvMsg(&n); err != nil {
		return err
	}
	for i := int64(0); i < n.GetValue(); {
		batch := new(numberBatch)
		for ; i < n.GetValue() && len(batch.FileDescriptorProto) < grpcBatch; i++ {
			batch.FileDescriptorProto = append(batch.FileDescriptorProto, protowire.AppendVarint(nil, uint64(i)))
		}
		if err := stream.SendMsg(batch); err != nil {
			return err
		}
	}
	return nil
}

func streamPong(_ any, stream grpc.ServerStream) error {
	for {
		var n wrapperspb.Int64Value
		err := stream.RecvMsg(&n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = stream.SendMsg(&n)
		}
		if err != nil {
			return err
		}
	}
}

// grpcPeer is that server, and a connection to it.
type grpcPeer struct {
	dir    string
	cmd    *exec.Cmd
	stdin  io.Closer
	client *grpc.ClientConn
}

func openGRPCPeer(ctx context.Context) (*grpcPeer, error) {
	return openGRPCServer(func(socket string) (*exec.Cmd, error) {
		return child(context.WithoutCancel(ctx), partStreams, socket)
	})
}

// openGRPCServer starts a server that listens on a socket.
func openGRPCServer(command func(socket string) (*exec.Cmd, error)) (*grpcPeer, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	p := &grpcPeer{dir: dir}
	socket := filepath.Join(dir, "s")
	if p.cmd, err = command(socket); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.client, err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(grpcWindow), grpc.WithStaticConnWindowSize(grpcWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.WaitForReady(true)))
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close ends the server.
func (p *grpcPeer) Close() error {
	var err error
	if p.client != nil {
		err = p.client.Close()
	}
	return errors.Join(err, p.stdin.Close(), p.cmd.Wait(), os.RemoveAll(p.dir))
}

// grpcNumbers reads the numbers.
type grpcNumbers struct {
	*grpcPeer
	count int
}

func openGRPCNumbers(ctx context.Context, count int) (subject, error) {
	p, err := openGRPCPeer(ctx)
	return &grpcNumbers{p, count}, err
}

// Round measures how many come a second.
func (r *grpcNumbers) Round(ctx context.Context) (figures, error) {
	return timeValues(r.count, r.values(ctx))
}

func (r *grpcNumbers) values(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := r.client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+grpcService+"/Numbers")
		if err == nil {
			err = errors.Join(stream.SendMsg(wrapperspb.Int64(int64(r.count))), stream.CloseSend())
		}
		for err == nil {
			batch := new(numberBatch)
			if err = stream.RecvMsg(batch); err != nil {
				break
			}
			for _, value := range batch.FileDescriptorProto {
				n, size := protowire.ConsumeVarint(value)
				if size != len(value) {
					yield(0, fmt.Errorf("%x is no number", value))
					return
				}
				if !yield(int(n), nil) {
					return
				}
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(0, err)
		}
	}
}

// grpcPong exchanges numbers on one stream.
type grpcPong struct {
	*grpcPeer
	stream grpc.ClientStream
	count  int
}

func openGRPCPong(ctx context.Context, count int) (subject, error) {
	p, err := openGRPCPeer(ctx)
	if err != nil {
		return nil, err
	}
	return p.pong(ctx, count)
}

// pong opens the stream.
func (p *grpcPeer) pong(ctx context.Context, count int) (*grpcPong, error) {
	stream, err := p.client.NewStream(context.WithoutCancel(ctx), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+grpcService+"/Pong")
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &grpcPong{p, stream, count}, nil
}

// Round measures the latencies.
func (r *grpcPong) Round(context.Context) (figures, error) {
	took := make([]time.Duration, r.count)
	for i := range took {
		start := time.Now()
		var n wrapperspb.Int64Value
		if err := errors.Join(r.stream.SendMsg(wrapperspb.Int64(7)), r.stream.RecvMsg(&n)); err != nil {
			return nil, err
		}
		took[i] = time.Since(start)
	}
	got := figures{}
	got["p50_us"], got["p99_us"] = latencies(took)
	return got, nil
}
