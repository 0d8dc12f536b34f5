package standard

import (
	"context"
	"errors"
	"os"

	"github.com/procpool/procpool"
)

// opening is what an actor begins with.
type opening struct {
	Start     int64   `cbor:"start" json:"start"`
	Mark      string  `cbor:"mark" json:"mark"`
	Fail      *string `cbor:"fail" json:"fail"`
	Exit      *int    `cbor:"exit" json:"exit"`
	FailClose *string `cbor:"fail_close" json:"fail_close"`
}

// tally is an actor that keeps a sum.
type tally struct {
	sum  int64
	with opening
}

// request of an actor, made or named, and calls of it.
type actorRequest struct {
	Actor    string       `cbor:"actor" json:"actor"`
	Open     any          `cbor:"open" json:"open"`
	Shared   bool         `cbor:"shared" json:"shared"`
	Restarts int          `cbor:"restarts" json:"restarts"`
	Ref      string       `cbor:"ref" json:"ref"`
	Calls    []methodCall `cbor:"calls" json:"calls"`
	Close    bool         `cbor:"close" json:"close"`
	Mark     string       `cbor:"mark" json:"mark"`
	Until    string       `cbor:"until" json:"until"`
}

type methodCall struct {
	Method   string `cbor:"method" json:"method"`
	Argument any    `cbor:"argument" json:"argument"`
}

// actors lists the actor and the function that works with actors.
func actors() []procpool.Task {
	actor := procpool.DefineActor("tally", openTally)
	procpool.DefineMethod(actor, "add", (*tally).add)
	procpool.DefineMethod(actor, "fail", (*tally).fail)
	procpool.DefineMethod(actor, "hold", func(_ *tally, ctx context.Context, h hold) (string, error) { return h.run(ctx, untilFile) })
	procpool.DefineMethod(actor, "exit", func(_ *tally, _ context.Context, status int) (nothing, error) {
		os.Exit(status)
		return nil, nil
	})
	procpool.DefineMethod(actor, "pid", func(*tally, context.Context, nothing) (int, error) { return os.Getpid(), nil })
	procpool.DefineMethod(actor, "call_actor", func(_ *tally, ctx context.Context, r actorRequest) (map[string]any, error) { return callActor(ctx, r) })
	return []procpool.Task{actor, procpool.Define("call_actor", callActor)}
}

func openTally(_ context.Context, o opening) (*tally, error) {
	t := &tally{sum: o.Start, with: o}
	if err := t.note("opened"); err != nil {
		return nil, err
	}
	switch {
	case o.Exit != nil:
		os.Exit(*o.Exit)
	case o.Fail != nil:
		return nil, errors.New(*o.Fail)
	}
	return t, nil
}

func (t *tally) note(text string) error {
	if t.with.Mark == "" {
		return nil
	}
	return noteLine(t.with.Mark, text)
}

// Close is called when the actor is closed.
func (t *tally) Close() error {
	if err := t.note("closed"); err != nil {
		return err
	}
	if t.with.FailClose != nil {
		return errors.New(*t.with.FailClose)
	}
	return nil
}

func (t *tally) add(_ context.Context, n int64) (int64, error) {
	t.sum += n
	return t.sum, nil
}

func (t *tally) fail(_ context.Context, message string) (nothing, error) {
	t.sum++
	return nil, errors.New(message)
}

func callActor(ctx context.Context, r actorRequest) (map[string]any, error) {
	ref, err := r.actor(ctx)
	if err != nil {
		result := actorError(err)
		result["values"] = []any{}
		return result, nil
	}
	values := make([]any, len(r.Calls))
	handle := procpool.RemoteActor[any](ref.Actor())
	for i, c := range r.Calls {
		v, err := procpool.RemoteMethod[any, any](handle, c.Method).Call(ctx, ref, c.Argument)
		if err != nil {
			values[i] = actorError(err)
		} else {
			values[i] = map[string]any{"value": v}
		}
	}
	if r.Mark != "" {
		if _, err := (hold{Mark: r.Mark, Until: r.Until}).run(ctx, untilFile); err != nil {
			return nil, err
		}
	}
	result := make(map[string]any)
	if r.Close {
		if err := ref.On(procpool.ExecutorFrom(ctx)).Close(); err != nil {
			result = actorError(err)
		}
	}
	result["ref"], result["values"] = ref.String(), values
	return result, nil
}

// actor makes the actor, or takes the one that is named.
func (r actorRequest) actor(ctx context.Context) (*procpool.Ref, error) {
	if r.Ref != "" {
		ref := new(procpool.Ref)
		return ref, ref.UnmarshalText([]byte(r.Ref))
	}
	opts := []procpool.Option{procpool.Restarts(r.Restarts)}
	if r.Shared {
		opts = append(opts, procpool.Shared())
	}
	return procpool.RemoteActor[any](r.Actor).Spawn(ctx, procpool.ExecutorFrom(ctx), r.Open, opts...)
}

// actorError is how the error of a call of an actor is told.
func actorError(err error) map[string]any {
	kind := "other"
	switch {
	case errors.Is(err, procpool.ErrActorEnded):
		kind = "ended"
	case errors.Is(err, procpool.ErrReentrant):
		kind = "reentrant"
	case errors.Is(err, procpool.ErrCrashed):
		kind = "crash"
	}
	return map[string]any{"error": err.Error(), "kind": kind}
}
