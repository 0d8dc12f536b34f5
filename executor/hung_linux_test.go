package executor_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// T090, T087, #102: a worker that is stopped is found, reported, killed and replaced,
// busy or idle. Rule 6.13.
func TestStoppedWorkerIsFound(t *testing.T) {
	for _, state := range []string{"busy", "idle"} {
		t.Run(state, func(t *testing.T) {
			events := newEventLog()
			pool := newPool(t, executor.Config{Workers: 2, HungAfter: 400 * time.Millisecond, OnEvent: events.hear})
			fs, release := blockers(t, pool, 1)
			eventually(t, "it runs", func() bool { return fs[0].State() == procpool.Started })
			victim := fs[0].Info().PID
			if state == "idle" {
				release()
				if _, err := result(t, fs[0]); err != nil {
					t.Error(err)
				}
			}
			if err := sendSignal(victim, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			e, err := events.await(executor.WorkerExited)
			var crash *procpool.CrashError
			if err != nil || e.PID != victim || !errors.As(e.Err, &crash) || !crash.Hung {
				t.Errorf("%+v, %v", e, err)
			}
			mustContain(t, e.Err, "hung", "stopped")
			if state == "busy" {
				if _, err := result(t, fs[0]); !errors.As(err, &crash) || !crash.Hung || crash.PID != victim {
					t.Errorf("%v", err)
				}
				release()
			}
			eventually(t, "it is replaced", func() bool { s := pool.Stats(); return s.Workers == 2 && s.Starting == 0 })
			works(t, pool)
		})
	}
}

// Hung is not slow: a worker that computes without a pause, on all its threads, is
// left alone, and so is one that was stopped for a moment. Rule 6.13.
func TestSlowIsNotHung(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, HungAfter: 300 * time.Millisecond, ThreadsPerWorker: 1})
	f := burn.Submit(t.Context(), pool, 1500*time.Millisecond)
	eventually(t, "it runs", func() bool { return f.State() == procpool.Started })
	victim := f.Info().PID
	for range 3 {
		_ = sendSignal(victim, syscall.SIGSTOP)
		eventually(t, "it is stopped", func() bool { return stateOf(victim) == 'T' })
		_ = sendSignal(victim, syscall.SIGCONT)
	}
	if _, err := result(t, f); err != nil {
		t.Errorf("%v", err)
	}
	if s := pool.Stats(); s.Killed != 0 || s.Starts != 1 {
		t.Errorf("%+v", s)
	}
}
