package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// startedIn waits until what a gate is for has started, and returns in which process.
func startedIn(t *testing.T, gate string) int {
	t.Helper()
	eventually(t, "it starts", func() bool { return exists(gate + ".started") })
	text, err := os.ReadFile(gate + ".started")
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func kill(t *testing.T, id int) {
	t.Helper()
	if err := sendSignal(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// death is an actor whose process is killed in some state.
type death struct {
	*testing.T
	pool *executor.Pool
	gate string // a file that there is not
	opts []procpool.Option
}

func (d death) spawn(in benchOpening) *procpool.Ref { return spawnBench(d.T, d.pool, in, d.opts...) }

// goesOn checks that the actor lives, with the state that it was opened with.
func (d death) goesOn(ref *procpool.Ref) {
	d.Helper()
	if n, err := result(d.T, benchAdd.Submit(d.Context(), ref, 0)); n != 7 || err != nil || ref.Err() != nil {
		d.Errorf("the actor does not go on: %d, %v, %v", n, err, ref.Err())
	}
	if err := ref.Close(); err != nil {
		d.Error(err)
	}
}

// ended checks that it has ended by a crash.
func (d death) ended(ref *procpool.Ref) {
	d.Helper()
	for _, err := range []error{awaitEnd(d.T, ref), ref.Close(), second(benchAdd.Call(d.Context(), ref, 0))} {
		if !errors.Is(err, procpool.ErrActorEnded) || !errors.Is(err, procpool.ErrCrashed) {
			d.Errorf("it has ended with %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// crashed checks that the call that ran has the crash itself.
func (d death) crashed(f *procpool.Future[int]) {
	d.Helper()
	if _, err := result(d.T, f); !errors.Is(err, procpool.ErrCrashed) || errors.Is(err, procpool.ErrActorEnded) {
		d.Errorf("the call that ran: %v", err)
	}
}

// Deaths in every state of an actor, with and without restarts: the table of
// docs/semantics.md.
func TestActorDeaths(t *testing.T) {
	deaths := map[string]func(death) (*procpool.Ref, bool){
		"opening": func(d death) (*procpool.Ref, bool) {
			spawned := make(chan error)
			go func() {
				_, err := workbench.Spawn(context.Background(), d.pool, benchOpening{Gate: d.gate}, d.opts...)
				spawned <- err
			}()
			kill(d.T, startedIn(d.T, d.gate))
			if err := <-spawned; !errors.Is(err, procpool.ErrCrashed) || errors.Is(err, procpool.ErrActorEnded) {
				d.Errorf("Spawn: %v", err)
			}
			return nil, false
		},
		"idle": func(d death) (*procpool.Ref, bool) {
			ref := d.spawn(benchOpening{Start: 7})
			id, _ := benchPID.Call(d.Context(), ref, struct{}{})
			kill(d.T, id)
			eventually(d.T, "it is gone", func() bool { return !alive(id) })
			return ref, true
		},
		"running": func(d death) (*procpool.Ref, bool) {
			ref := d.spawn(benchOpening{Start: 7})
			f := benchWait.Submit(d.Context(), ref, d.gate)
			kill(d.T, startedIn(d.T, d.gate))
			d.crashed(f)
			return ref, true
		},
		"waiting for another actor": func(d death) (*procpool.Ref, bool) {
			ref, other := d.spawn(benchOpening{Start: 7}), d.spawn(benchOpening{Start: 7})
			f := benchAwait.Submit(d.Context(), ref, benchWork{What: d.gate, Ref: other})
			startedIn(d.T, d.gate)
			kill(d.T, f.Info().PID)
			d.crashed(f)
			if n, err := result(d.T, benchAdd.Submit(d.Context(), other, -1)); n != 7 || err != nil {
				d.Errorf("the other's call is not given up, or it does not go on: %d, %v", n, err)
			}
			d.goesOn(other)
			return ref, true
		},
		"called by another actor": func(d death) (*procpool.Ref, bool) {
			ref, other := d.spawn(benchOpening{Start: 7}), d.spawn(benchOpening{Start: 7})
			f := benchRelay.Submit(d.Context(), other, relayWork{Ref: ref, Work: benchWork{What: "kill"}})
			d.crashed(f) // by what its method returns
			d.goesOn(other)
			return ref, true
		},
		"closing": func(d death) (*procpool.Ref, bool) {
			open(d.T, d.gate)
			ref := d.spawn(benchOpening{Start: 7, Gate: d.gate, Close: "hang"})
			closed := make(chan error)
			go func() { closed <- ref.Close() }()
			kill(d.T, startedIn(d.T, d.gate+".close"))
			if err := <-closed; !errors.Is(err, procpool.ErrCrashed) || errors.Is(err, procpool.ErrActorEnded) {
				d.Errorf("Close: %v", err)
			}
			if err := awaitEnd(d.T, ref); errors.Is(err, procpool.ErrCrashed) {
				d.Errorf("it was closed, and has ended with %v", err)
			}
			return nil, false
		},
		"opening again": func(d death) (*procpool.Ref, bool) {
			open(d.T, d.gate)
			ref := d.spawn(benchOpening{Start: 7, Gate: d.gate})
			if err := errors.Join(os.Remove(d.gate), os.Remove(d.gate+".started")); err != nil {
				d.Fatal(err)
			}
			id, _ := benchPID.Call(d.Context(), ref, struct{}{})
			kill(d.T, id)
			if len(d.opts) > 0 {
				waits := benchAdd.Submit(d.Context(), ref, 0)
				kill(d.T, startedIn(d.T, d.gate))
				if _, err := result(d.T, waits); !errors.Is(err, procpool.ErrActorEnded) || !errors.Is(err, procpool.ErrCrashed) {
					d.Error(err)
				}
			}
			d.ended(ref)
			return nil, false
		},
	}
	pool := newPool(t, executor.Config{Workers: 1})
	for state, die := range deaths {
		for restarts := range 2 {
			t.Run(fmt.Sprintf("%s, restarts %d", state, restarts), func(t *testing.T) {
				d := death{T: t, pool: pool, gate: filepath.Join(t.TempDir(), "gate")}
				if restarts > 0 {
					d.opts = []procpool.Option{procpool.Restarts(restarts)}
				}
				ref, restarted := die(d)
				switch {
				case restarted && restarts > 0:
					d.goesOn(ref)
				case restarted:
					d.ended(ref)
				}
			})
		}
	}
	nothingLeft(t, pool)
	works(t, pool)
}

// showActors has actors of the host in every state and prints the ids of their processes.
func showActors(ctx context.Context, pool *executor.Pool, dir string) {
	show := func(gate string) {
		path := filepath.Join(dir, gate+".started")
		if err := untilFile(ctx, path); err != nil {
			fmt.Println(err)
		}
		id, err := os.ReadFile(path)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Println(string(id))
	}
	spawn := func(in benchOpening, opts ...procpool.Option) *procpool.Ref {
		ref, err := workbench.Spawn(ctx, pool, in, opts...)
		if err != nil {
			fmt.Println(err)
		}
		return ref
	}
	go spawn(benchOpening{Gate: filepath.Join(dir, "opening")})
	show("opening")
	for _, opts := range [][]procpool.Option{{procpool.Restarts(5)}, {procpool.Shared()}} {
		idle := spawn(benchOpening{}, opts...)
		id, err := benchPID.Call(ctx, idle, struct{}{})
		if err != nil {
			fmt.Println(err)
		}
		fmt.Println(id)
	}
	benchDeaf.Submit(ctx, spawn(benchOpening{}), filepath.Join(dir, "busy"))
	show("busy")
	if err := os.WriteFile(filepath.Join(dir, "closing"), nil, 0o600); err != nil {
		fmt.Println(err)
	}
	closing := spawn(benchOpening{Gate: filepath.Join(dir, "closing"), Close: "hang"})
	go func() { fmt.Println(closing.Close()) }()
	show("closing.close")
}
