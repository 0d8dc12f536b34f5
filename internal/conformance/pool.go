package conformance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// pool is a pool of the worker that is tried, and what its workers print.
type pool struct {
	*executor.Pool
	t   *trial
	out transcript
}

// transcript keeps what is written to it.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write never fails.
func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// tail is the end of what was printed, for reasons.
func (s *transcript) tail() string {
	text := strings.TrimSpace(s.String())
	const most = 1500
	if text == "" {
		return "it printed nothing"
	}
	return "it printed: " + text[max(0, len(text)-most):]
}

// pool starts a pool of one worker that is closed when the case ends.
func (t *trial) pool(change ...func(*executor.Config)) *pool {
	p, err := t.tryPool(change...)
	if err != nil {
		t.failf("A pool of the worker was started: expected that it starts, got: %v; %s", err, p.out.tail())
	}
	return p
}

// tryPool is pool for a start that may fail.
func (t *trial) tryPool(change ...func(*executor.Config)) (*pool, error) {
	p := &pool{t: t}
	cfg := executor.Config{
		Workers: 1, Command: executor.Program(t.kit.cfg.Command[0], t.kit.cfg.Command[1:]...), Env: t.kit.cfg.Env, Dir: t.kit.cfg.Dir,
		CancelGrace: t.kit.cfg.Grace, HungAfter: -1, StartTimeout: t.kit.cfg.Limit, Output: &p.out, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if p.Pool, err = executor.New(t.ctx, cfg); err != nil {
		return p, err
	}
	t.onEnd(func() { _ = p.Close() }) // its error is always nil
	return p, nil
}

// submit calls a function and does not wait.
func submit[Out any](p *pool, name string, arg any, opts ...procpool.Option) *procpool.Future[Out] {
	p.t.use(name)
	return procpool.Remote[any, Out](name).Submit(p.t.ctx, p, arg, opts...)
}

// result waits for a call that must succeed; done says which one it is.
func result[Out any](p *pool, done string, f *procpool.Future[Out]) Out {
	v, err := f.Result(p.t.ctx)
	if err != nil {
		p.t.failf("%s: expected a result, got %s", done, p.describe(err))
	}
	return v
}

// call calls a function that must succeed and returns what it returns.
func call[Out any](p *pool, name string, arg any, opts ...procpool.Option) Out {
	return result(p, calling(name, arg), submit[Out](p, name, arg, opts...))
}

// failure waits for a call that must fail and returns its error.
func failure[Out any](p *pool, done string, f *procpool.Future[Out]) error {
	v, err := f.Result(p.t.ctx)
	switch {
	case err == nil:
		p.t.failf("%s: expected an error, got the result %s", done, brief(v))
	case errors.Is(err, procpool.ErrNotDone):
		p.t.failf("%s: expected an error, got none in time; %s", done, p.out.tail())
	}
	return err
}

// fail calls a function that must fail.
func fail(p *pool, name string, arg any, opts ...procpool.Option) error {
	return failure(p, calling(name, arg), submit[any](p, name, arg, opts...))
}

// errorAs ends the case if an error is not of a type.
func errorAs[E error](p *pool, done string, err error) E {
	e, ok := errors.AsType[E](err)
	if !ok {
		var want E
		p.t.failf("%s: expected a %T, got %s", done, want, p.describe(err))
	}
	return e
}

// errorIs ends the case if an error does not match another.
func (p *pool) errorIs(done string, err, target error) {
	if !errors.Is(err, target) {
		p.t.failf("%s: expected an error that matches %q, got %s", done, target, p.describe(err))
	}
}

// describe tells what an error is, with what a dead worker printed.
func (p *pool) describe(err error) string {
	text := fmt.Sprintf("a %T: %v", err, err)
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok && crash.Stderr != "" {
		text += "; on standard error it printed: " + crash.Stderr
	}
	return text
}

// calling names a call in reasons.
func calling(name string, arg any) string {
	return fmt.Sprintf("%s was called with %s", name, brief(arg))
}

// brief shows a value, cut to what a reader can take.
func brief(v any) string {
	const most = 300
	var text string
	switch v := v.(type) {
	case args:
		text = v.String()
	case []byte:
		text = fmt.Sprintf("%d bytes, % x", len(v), v[:min(len(v), most/3)])
	default:
		text = fmt.Sprintf("%#v", v)
	}
	if len(text) > most {
		text = fmt.Sprintf("%s... (%d characters)", text[:most], len(text))
	}
	return text
}

// args is a map as argument.
type args map[string]any

// String shows the map as the document does.
func (a args) String() string { return strings.TrimPrefix(fmt.Sprintf("%v", map[string]any(a)), "map") }

// pid asks the worker for its process id, which shows that it lives.
func (p *pool) pid() int { return call[int](p, "pid", nil) }

// sameWorker ends the case if the worker is another process than before.
func (p *pool) sameWorker(before int, after string) {
	if now := p.pid(); now != before {
		p.t.failf("%s: expected that the worker lives, but process %d was replaced by %d; %s", after, before, now, p.out.tail())
	}
}

// printed waits until the workers have printed a text.
func (p *pool) printed(text, when string) {
	if !p.t.eventually(func() bool { return strings.Contains(p.out.String(), text) }) {
		p.t.failf("%s: expected that %q comes to the pool's output; %s", when, text, p.out.tail())
	}
}

// quickly gives a context for a wait that is to be short whatever the worker does.
func (p *pool) quickly(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.t.ctx, d)
}
