package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/procpool/procpool"
)

// Replay runs the call of a crash again, from the folder that a pool with
// Config.CrashDir left: procpool.CrashError.Dir names it. The call runs alone, in
// one fresh worker of the recorded program, after the recorded initializer, with
// the recorded metadata, Timeout and limits, and is not run a second time. It
// returns the encoded result, nil for a stream, whose values are dropped; or the error as the call's caller would get it, such
// as another *procpool.CrashError. What the worker prints goes to os.Stderr.
//
// The environment is not recorded: the worker gets that of this process. Where the
// workers were the host's program run again, the worker is this program, which
// must have called workerproc.Init, as for New, and serve the task.
//
// Replay blocks until the worker is gone, or until ctx ends, which gives the call up
// as it does for Call. It may be called concurrently.
func Replay(ctx context.Context, dir string) ([]byte, error) {
	r, argument, initializer, err := readCrash(dir)
	if err != nil {
		return nil, fmt.Errorf("procpool: Replay(%q): %w", dir, err)
	}
	pool, err := New(ctx, r.config(initializer))
	if err != nil {
		return nil, fmt.Errorf("procpool: Replay(%q): %w", dir, err)
	}
	defer pool.Close()
	reply, err := r.run(ctx, pool, argument)
	if errors.Is(err, procpool.ErrUnknownTask) {
		return nil, fmt.Errorf("procpool: Replay(%q): the call ran in %s: %w", dir, r.Program.Path, err)
	}
	return reply, err
}

// config is how the pool is to be that runs the crash again.
func (r *crashRecord) config(initializer []byte) Config {
	c := r.Config
	cfg := Config{
		Workers: 1, Dir: r.Program.Dir,
		MaxPayload: c.MaxPayload, MemoryLimit: c.MemoryLimit, CPULimit: c.CPULimit, OpenFiles: c.OpenFiles, Nice: c.Nice,
		ThreadsPerWorker: c.ThreadsPerWorker, CancelGrace: c.CancelGrace, StartTimeout: c.StartTimeout,
		InitTimeout: c.InitTimeout, HungAfter: c.HungAfter, AutoMTLS: c.AutoMTLS,
	}
	if !r.Program.Self {
		cfg.Command = Program(r.Program.Path, r.Program.Args...)
	}
	if r.Initializer != nil {
		cfg.Initializer = r.Initializer.handle().Bind(initializer)
	}
	return cfg
}

// run makes the call.
func (c *recordedCall) run(ctx context.Context, ex procpool.Executor, argument []byte) ([]byte, error) {
	if !c.Stream {
		return c.handle().Call(ctx, ex, argument)
	}
	for _, err := range procpool.RemoteStream[[]byte, []byte](c.Task, c.options()...).All(ctx, ex, argument) {
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// handle is the call's task, with what is encoded already as argument and result.
func (c *recordedCall) handle() *procpool.Func[[]byte, []byte] {
	return procpool.Remote[[]byte, []byte](c.Task, c.options()...)
}

func (c *recordedCall) options() []procpool.Option {
	opts := []procpool.Option{procpool.WithCodec(encoded(c.Codec)), procpool.Metadata(c.Metadata)}
	if c.Timeout > 0 {
		opts = append(opts, procpool.Timeout(c.Timeout))
	}
	return opts
}

// encoded is the codec of that name where all values are encoded already.
type encoded string

func (e encoded) Name() string { return string(e) }

func (encoded) Append(dst []byte, v any) ([]byte, error) { return procpool.Raw.Append(dst, v) }

func (encoded) Decode(data []byte, v any) error { return procpool.Raw.Decode(data, v) }
