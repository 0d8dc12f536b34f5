package procpool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// tally is the state of an actor that counts.
type tally struct{ n int }

func (c *tally) add(_ context.Context, n int) (int, error) { c.n += n; return c.n, nil }

var (
	tallies = procpool.DefineActor("tally", func(_ context.Context, n int) (*tally, error) {
		if n < 0 {
			return nil, errNotFound
		}
		return &tally{n}, nil
	}, procpool.Errors(map[string]error{"not_found": errNotFound}), procpool.Doc("It counts."))
	tallyAdd  = procpool.DefineMethod(tallies, "add", (*tally).add, procpool.Doc("It adds."))
	tallyFail = procpool.DefineMethod(tallies, "fail", func(*tally, context.Context, struct{}) (int, error) { return 0, errNotFound })
	// passOn gives back the actor that it is given.
	passOn = procpool.Define("pass_on", func(_ context.Context, refs map[string]*procpool.Ref) (*procpool.Ref, error) {
		return refs["it"], nil
	})
)

func TestActorDescribesItself(t *testing.T) {
	t.Parallel()
	want := procpool.TaskInfo{
		Name: "tally", Kind: procpool.KindActor, In: "int", Codecs: []string{"cbor", "json"}, Doc: "It counts.",
		Methods: []procpool.MethodInfo{
			{Name: "add", In: "int", Out: "int", Codecs: []string{"cbor", "json"}, Doc: "It adds."},
			{Name: "fail", In: "struct {}", Out: "int", Codecs: []string{"cbor", "json"}},
		},
	}
	if info := tallies.Describe(); !reflect.DeepEqual(info, want) {
		t.Errorf("%+v", info)
	}
	if tallies.Name() != "tally" || !tallies.Local() || tallyAdd.Name() != "tally.add" {
		t.Error("names")
	}
	remote := procpool.RemoteActor[int]("tally")
	if info := remote.Describe(); remote.Local() || info.Kind != procpool.KindActor || info.Methods != nil {
		t.Errorf("%+v", info)
	}
	if _, err := tallies.Run(t.Context(), "cbor", nil, nil); !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("Run: %v", err)
	}
	if _, err := remote.OpenActor(t.Context(), "cbor", nil); !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("an actor without a function opens: %v", err)
	}
}

func TestActorDefinitionsPanic(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(){
		"no name":        func() { procpool.RemoteActor[int]("") },
		"no function":    func() { procpool.DefineActor[int, int]("a", nil) },
		"no method name": func() { procpool.RemoteMethod[int, int](tallies, "") },
		"a space":        func() { procpool.RemoteMethod[int, int](tallies, "a b") },
		"a method twice": func() { procpool.DefineMethod(tallies, "add", (*tally).add) },
		"no method":      func() { procpool.DefineMethod[int, *tally, int, int](tallies, "nil", nil) },
		"remote method": func() {
			procpool.DefineMethod(procpool.RemoteActor[int]("b"), "m", func(any, context.Context, int) (int, error) { return 0, nil })
		},
		"restarts":        func() { procpool.Restarts(-1) },
		"endless restart": func() { procpool.Restarts(1001) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "procpool: ") {
					t.Errorf("%s: %v", name, v)
				}
			}()
			define()
		}()
	}
}

// Handles with the names of the task and the method are as good as the ones that define
// them, and a Ref survives each codec.
func TestRefCrossesTheBoundary(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ex := procpooltest.Inline(tallies, passOn)
	ref, err := procpool.RemoteActor[int]("tally").Spawn(ctx, ex, 5)
	if err != nil {
		t.Fatal(err)
	}
	add := procpool.RemoteMethod[int, int](procpool.RemoteActor[int]("tally"), "add")
	for _, codec := range []procpool.Codec{procpool.CBOR, procpool.JSON} {
		back, err := passOn.Call(ctx, ex, map[string]*procpool.Ref{"it": ref}, procpool.WithCodec(codec))
		if err != nil {
			t.Fatal(err)
		}
		if back.Actor() != "tally" || back.String() != ref.String() {
			t.Errorf("%v came back as %v", ref, back)
		}
		if _, err := add.Call(ctx, back, 1); err == nil || !strings.Contains(err.Error(), "bind it to its pool with On") {
			t.Errorf("a decoded Ref outside of a task: %v", err)
		}
		if err := back.Close(); err == nil || !strings.Contains(err.Error(), "ref.On(executor)") {
			t.Errorf("closing it: %v", err)
		}
		if _, err := add.Call(ctx, back.On(ex), 1); err != nil {
			t.Error(err)
		}
	}
	if n, err := tallyAdd.With(procpool.WithCodec(procpool.JSON)).Call(ctx, ref, 1); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if back, err := passOn.Call(ctx, ex, nil); back != nil || err != nil {
		t.Errorf("no actor came back as %v, %v", back, err)
	}
	if err := ref.On(ex).Close(); err != nil {
		t.Error(err)
	}
	if _, err := tallyAdd.Call(ctx, ref, 1); !errors.Is(err, procpool.ErrActorEnded) {
		t.Errorf("closed: %v", err)
	}
}

func TestRefRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, text := range []string{`""`, `"tally"`, `"#5"`, `"tally#"`, `"tally#0"`, `"tally#x"`, `"tally#20000000000000"`, `5`} {
		var ref *procpool.Ref
		if err := json.Unmarshal([]byte(text), &ref); err == nil {
			t.Errorf("%s is an actor: %v", text, ref)
		}
	}
	var none *procpool.Ref
	for _, ref := range []*procpool.Ref{none, new(procpool.Ref)} {
		if _, err := tallyAdd.Call(ctx, ref, 1); err == nil || !strings.Contains(err.Error(), "of no actor") {
			t.Errorf("%v", err)
		}
		if ref.Close() == nil || ref.Err() != nil || ref.Done() != nil || ref.Actor() != "" || ref.String() != "no actor" || ref.On(nil) != ref {
			t.Errorf("%v is an actor", ref)
		}
	}
	if _, err := json.Marshal(struct{ R procpool.Ref }{}); err == nil {
		t.Error("no actor can be encoded")
	}
	ex := procpooltest.Inline(tallies)
	ref, err := tallies.Spawn(ctx, ex, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	other := procpool.RemoteMethod[int, int](procpool.RemoteActor[int]("other"), "add")
	if _, err := other.Call(ctx, ref, 1); !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("another actor's method: %v", err)
	}
	ad := procpool.RemoteMethod[int, int](tallies, "ad")
	if _, err := ad.Call(ctx, ref, 1); !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), `did you mean "tally.add"`) {
		t.Errorf("a method that there is not: %v", err)
	}
}

func TestSpawnRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ex := procpooltest.Inline(tallies, passOn)
	if _, err := tallies.Spawn(ctx, ex, -1); !errors.Is(err, errNotFound) {
		t.Errorf("the opening's error: %v", err)
	}
	if _, err := tallies.With(procpool.Shared()).Spawn(ctx, ex, 1, procpool.Restarts(1)); err == nil || !strings.Contains(err.Error(), "don't go together") {
		t.Errorf("Restarts and Shared: %v", err)
	}
	if _, err := procpool.RemoteActor[int]("pass_on").Spawn(ctx, ex, 1); !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("a function as actor: %v", err)
	}
	if _, err := procpool.Remote[int, int]("tally").Call(ctx, ex, 1); !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("an actor as function: %v", err)
	}
	if _, err := procpool.RemoteActor[chan int]("tally").Spawn(ctx, ex, nil); err == nil {
		t.Error("a channel was encoded")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := tallies.Spawn(gone, ex, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v", err)
	}
}

// The sentinels of an actor hold for its methods, and a failure does not end it.
func TestMethodFails(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ref, err := tallies.Spawn(ctx, procpooltest.Inline(tallies), 5)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	_, err = tallyFail.Call(ctx, ref, struct{}{})
	failed, ok := errors.AsType[*procpool.TaskError](err)
	if !ok || !errors.Is(err, errNotFound) || failed.Task != "tally.fail" {
		t.Errorf("%v", err)
	}
	if n, err := tallyAdd.Call(ctx, ref, 1); n != 6 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if ref.Err() != nil {
		t.Error(ref.Err())
	}
}

// An error that says that an actor has ended is no crash of the call, which could be run
// again.
func TestActorEndedIsFinal(t *testing.T) {
	t.Parallel()
	ended := procpool.ActorEndedError("tally", &procpool.CrashError{PID: 7, Reason: "exit status 3"})
	if !errors.Is(ended, procpool.ErrActorEnded) || !errors.Is(ended, procpool.ErrCrashed) {
		t.Error(ended)
	}
	if want := `procpool: the actor "tally" has ended: procpool: worker 7 died: exit status 3`; ended.Error() != want {
		t.Errorf("%v", ended)
	}
	if closed := procpool.ActorEndedError("tally", nil); !errors.Is(closed, procpool.ErrActorEnded) || !strings.HasSuffix(closed.Error(), "it was closed") {
		t.Error(closed)
	}
	s := newStage(1)
	square.Submit(t.Context(), s, 1, procpool.Retries(5))
	c := <-s.calls
	if _, again, err := c.Retry(1, ended); again || !errors.Is(err, procpool.ErrActorEnded) {
		t.Errorf("again %v, %v", again, err)
	}
	c.Finish(nil, ended)
}
