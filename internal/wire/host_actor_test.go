//go:build unix

package wire_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire"
)

// counter is the state of an actor of the worker.
type counter struct {
	n     int
	close string // what Close does
}

func (c *counter) Close() error {
	if c.close == "fail" {
		return fmt.Errorf("%d can't be closed: %w", c.n, errKnown)
	}
	if c.close == "panic in Close" {
		panic("in Close")
	}
	return nil
}

var (
	counters = procpool.DefineActor("counter", func(_ context.Context, how string) (*counter, error) {
		switch how {
		case "error":
			return nil, errKnown
		case "panic":
			panic("in the opening")
		case "exit":
			os.Exit(3)
		}
		return &counter{close: how}, nil
	}, procpool.Errors(map[string]error{"known": errKnown}))
	counterAdd = procpool.DefineMethod(counters, "add", func(c *counter, _ context.Context, n int) (int, error) {
		c.n += n
		return c.n, nil
	})
	counterDo = procpool.DefineMethod(counters, "do", func(c *counter, ctx context.Context, what string) (string, error) {
		switch what {
		case "error":
			return "", errKnown
		case "panic":
			panic("in a method")
		case "wait":
			<-ctx.Done()
			return "", ctx.Err()
		case "metadata":
			return fmt.Sprintf("%s, attempt %d", procpool.MetadataFrom(ctx)["tenant"], procpool.AttemptFrom(ctx)), nil
		}
		return strings.Repeat(what, c.n), nil
	}, procpool.WithCodec(procpool.JSON))
)

var actorTasks = []procpool.Task{counters}

// spawn makes an actor in the worker.
func spawn(t *testing.T, h *testHost, how string) *procpool.Ref {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ref, err := counters.Spawn(ctx, h, how)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// Actors of a worker have their own states; a method that fails or panics costs nobody
// anything.
func TestActorsInOneWorker(t *testing.T) {
	h := start(t)
	a, b := spawn(t, h, ""), spawn(t, h, "")
	for i := range 100 {
		if n := mustResult(t, counterAdd.Submit(t.Context(), a, 1)); n != i+1 {
			t.Fatalf("call %d: %d", i, n)
		}
	}
	if n := mustResult(t, counterAdd.Submit(t.Context(), b, 2)); n != 2 {
		t.Errorf("the other one is at %d", n)
	}
	if s := mustResult(t, counterDo.Submit(t.Context(), b, "ab")); s != "abab" {
		t.Errorf("%q", s)
	}
	_, err := result(t, counterDo.Submit(t.Context(), a, "error"))
	if failed, ok := errors.AsType[*procpool.TaskError](err); !ok || failed.Task != "counter.do" || !errors.Is(err, errKnown) {
		t.Error(err)
	}
	_, err = result(t, counterDo.Submit(t.Context(), a, "panic"))
	if panicked, ok := errors.AsType[*procpool.PanicError](err); !ok || panicked.Task != "counter.do" {
		t.Error(err)
	}
	f := counterDo.Submit(t.Context(), a, "metadata", procpool.Metadata(map[string]string{"tenant": "acme"}))
	if s := mustResult(t, f); s != "acme, attempt 1" {
		t.Error(s)
	}
	if n := mustResult(t, counterAdd.Submit(t.Context(), a, 1)); n != 101 {
		t.Errorf("after all that: %d", n)
	}
	if n := mustResult(t, square.Submit(t.Context(), h, 7)); n != 49 {
		t.Error(n)
	}
}

// Calls of actors travel together as others do, on any lane, and are cancelled alone.
func TestActorCallsInBatches(t *testing.T) {
	h := start(t, func(o *wire.Options) { o.Lanes = 2 })
	a, b := spawn(t, h, ""), spawn(t, h, "")
	h.setHold(true)
	var futures []*procpool.Future[int]
	for range 500 {
		futures = append(futures, counterAdd.Submit(t.Context(), a, 1), counterAdd.Submit(t.Context(), b, 2))
	}
	h.setHold(false)
	h.flush()
	for i, f := range futures {
		if n := mustResult(t, f); n != (i/2+1)*(i%2+1) {
			t.Fatalf("call %d: %d", i, n)
		}
	}
	h.mu.Lock()
	h.lane, h.seq = 1, 0
	h.mu.Unlock()
	if n := mustResult(t, counterAdd.Submit(t.Context(), a, 1)); n != 501 {
		t.Errorf("on another lane: %d", n)
	}
	f := counterDo.Submit(t.Context(), a, "wait")
	if !eventually(func() bool { started, _, _ := h.worker.Progress(1); return started == 2 }) {
		t.Fatal("it does not start")
	}
	h.worker.Cancel(1, 2)
	if _, err := result(t, f); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Error(err)
	}
	if n := mustResult(t, counterAdd.Submit(t.Context(), a, 1)); n != 502 {
		t.Errorf("after a cancellation: %d", n)
	}
}

func TestActorIsNotOpened(t *testing.T) {
	h := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := counters.Spawn(ctx, h, "error"); !errors.Is(err, errKnown) {
		t.Error(err)
	}
	_, err := counters.Spawn(ctx, h, "panic")
	if panicked, ok := errors.AsType[*procpool.PanicError](err); !ok || panicked.Task != "counter" {
		t.Error(err)
	}
	if _, err := procpool.RemoteActor[int]("counter").Spawn(ctx, h, 5); !as[*procpool.CodecError](err) {
		t.Errorf("the argument is of another type: %v", err)
	}
	for name, call := range map[string]func() error{
		"an actor as function": func() error { _, err := procpool.Remote[string, int]("counter").Call(ctx, h, ""); return err },
		"a function as actor":  func() error { _, err := procpool.RemoteActor[int]("square").Spawn(ctx, h, 1); return err },
		"an actor as stream": func() error {
			for _, err := range procpool.RemoteStream[string, int]("counter").All(ctx, h, "") {
				return err
			}
			return nil
		},
		"no such actor": func() error { _, err := procpool.RemoteActor[int]("counters").Spawn(ctx, h, 1); return err },
		"no such method": func() error {
			_, err := procpool.RemoteMethod[int, int](counters, "sub").Call(ctx, spawn(t, h, ""), 1)
			return err
		},
		"a method of no actor": func() error {
			ref := new(procpool.Ref)
			if err := ref.UnmarshalText([]byte("counter#77")); err != nil {
				return err
			}
			_, err := counterAdd.Call(ctx, ref.On(h), 1)
			return err
		},
	} {
		if err := call(); !errors.Is(err, procpool.ErrUnknownTask) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := mustResult(t, counterAdd.Submit(ctx, spawn(t, h, ""), 1)); n != 1 {
		t.Error(n)
	}
}

// Closing an actor closes its state, once.
func TestActorIsClosed(t *testing.T) {
	h := start(t)
	for how, want := range map[string]func(error) bool{
		"": func(err error) bool { return err == nil },
		"fail": func(err error) bool {
			return errors.Is(err, errKnown) && strings.Contains(err.Error(), `"counter" failed: 5 can't be closed`)
		},
		"panic in Close": as[*procpool.PanicError],
	} {
		ref := spawn(t, h, how)
		mustResult(t, counterAdd.Submit(t.Context(), ref, 5))
		if err := ref.Close(); !want(err) {
			t.Errorf("%q: %v", how, err)
		}
		if err := ref.Close(); err != nil {
			t.Errorf("%q, again: %v", how, err)
		}
		if _, err := result(t, counterAdd.Submit(t.Context(), ref, 5)); !errors.Is(err, procpool.ErrUnknownTask) {
			t.Errorf("%q, a call behind it: %v", how, err)
		}
	}
}

func TestActorCrashes(t *testing.T) {
	h := start(t)
	var spawned sync.WaitGroup
	spawned.Go(func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { <-h.exited; cancel() }()
		_, _ = counters.Spawn(ctx, h, "exit")
	})
	report := h.awaitExit()
	h.finish(nil, true)
	if report.Exit.Code != 3 || !report.PageOK || report.Lanes[0].Started != 1 || report.Lanes[0].Finished != 0 {
		t.Errorf("%+v", report)
	}
	h.mu.Lock()
	for _, c := range h.open {
		c.Finish(nil, procpool.ErrCrashed)
	}
	h.mu.Unlock()
	spawned.Wait()
}

// What a worker says of its methods is told to people; names are its word on which there
// are.
func TestHelloOfActors(t *testing.T) {
	h := start(t)
	tasks := h.worker.Hello().Tasks
	info := tasks[len(tasks)-1]
	if info.Kind != procpool.KindActor || len(info.Methods) != 2 || info.Methods[1].Name != "do" || info.Methods[1].In != "string" ||
		info.Methods[1].Codecs[0] != "json" || info.In != "string" || info.Out != "" {
		t.Errorf("%+v", info)
	}
	for _, behaviour := range []string{"methods-twice", "methods-nameless"} {
		o := withRole(options(t), fakePrefix+behaviour)
		if _, err := wire.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "names are unique") {
			t.Errorf("%s: %v", behaviour, err)
		}
	}
}

// A worker that does not name the capability is not sent calls of actors.
func TestActorOfAWorkerWithoutThem(t *testing.T) {
	h := start(t, func(o *wire.Options) { *o = withRole(*o, fakePrefix+"actors-unknown") })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := procpool.RemoteActor[int]("keeper").Spawn(ctx, h, 1)
	if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), "has no actors") {
		t.Error(err)
	}
	// One that names it may leave out the types of its methods.
	h = start(t, func(o *wire.Options) { *o = withRole(*o, fakePrefix+"actors") })
	ref, err := procpool.RemoteActor[int]("keeper").Spawn(ctx, h, 1)
	if err != nil {
		t.Fatal(err)
	}
	get := procpool.RemoteMethod[int, int](procpool.RemoteActor[int]("keeper"), "get")
	if n, err := get.Call(ctx, ref, 5); n != 5 || err != nil { // it says what it is sent
		t.Errorf("%d, %v", n, err)
	}
}

// fakeActor has a fake worker serve an actor.
func fakeActor(h *workerv1.HelloResponse, behaviour string) {
	d := &workerv1.TaskDescription{Name: "keeper", Codecs: []string{"cbor"}, Kind: workerv1.TaskKind_TASK_KIND_ACTOR, Methods: []string{"put", "get"}}
	switch behaviour {
	case "methods-twice":
		d.Methods = append(d.Methods, "put")
	case "methods-nameless":
		d.Methods = append(d.Methods, "")
	case "actors":
		h.Capabilities = append(h.GetCapabilities(), "actor")
	}
	h.Tasks = append(h.GetTasks(), d)
}
