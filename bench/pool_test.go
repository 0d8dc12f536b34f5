package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// inline is a pool without processes: it runs a call where it is submitted. The
// measures can be tested on it in no time; what it can't do is crash.
type inline struct {
	spoil func(reply []byte) []byte // nil to leave replies as they are
}

func (p inline) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for call := first; n > 0; n-- {
		next := call.Slot.Next
		call.Finish(p.run(ctx, call))
		call = next
	}
}

func (p inline) run(ctx context.Context, call *procpool.Call) ([]byte, error) {
	for _, task := range served() {
		if task.Name() == call.Task() {
			reply, err := task.Run(ctx, call.Codec(), call.Payload(), nil)
			if err == nil && p.spoil != nil {
				reply = p.spoil(reply)
			}
			return reply, err
		}
	}
	return nil, procpool.ErrUnknownTask
}

func (inline) Close() error { return nil }

// whole is a pool without processes that also runs streams, sessions and what tasks
// call.
type whole struct{ procpool.Executor }

func (whole) Close() error { return nil }

// TestSubjectsGiveTheFiguresOfTheirRows runs what measures a pool on one
// without processes, and asks for every figure that the plan's rows show. It is
// not parallel: a process that another test started would end while its CPU time
// is counted.
func TestSubjectsGiveTheFiguresOfTheirRows(t *testing.T) {
	p, q := inline{}, whole{procpooltest.Inline(served()...)}
	talk := pong.Open(t.Context(), q, struct{}{})
	defer talk.Close()
	actor, err := newActorRun(t.Context(), q, 100, 300)
	if err != nil {
		t.Fatal(err)
	}
	defer actor.ref.Close()
	subjects := map[string]subject{
		"futures/" + ours:           &futuresRun{pool: p, count: 300, lifetime: forever},
		"futures/" + oursCancel:     &futuresRun{pool: p, count: 300, lifetime: cancellable},
		"futures/" + oursDeadline:   &futuresRun{pool: p, count: 300, lifetime: withDeadline},
		"map/" + ours:               &mapRun{pool: p, count: 300},
		"round-trip/" + ours:        &caller{pool: p, count: 100},
		"echo-64 KiB/" + ours:       poolEcho(p, 3, 64<<10),
		"echo-1 MiB/" + ours:        poolEcho(p, 3, 1<<20),
		"echo-16 MiB/" + ours:       poolEcho(p, 1, 16<<20),
		"stream/" + ours:            &streamRun{pool: q, count: 300},
		"session/" + ours:           &sessionRun{pool: q, talk: talk, count: 100},
		"nested/" + ours:            &nestedRun{pool: q, count: 100},
		"actor/" + ours:             actor,
		"recycling/" + oursRecycled: &workRun{pool: p, count: 10},
	}
	for name, users := range map[string][]use{
		"lock-program": {lockOften}, "lock": {lockOften}, "lock-contended": {lockOften, lockOften},
		"queue-program": {putMany, getMany}, "queue": {putMany, getMany}, "queue-batches": {putBatches, getBatches},
	} {
		subjects[name+"/"+ours] = &sharedRun{pool: q, count: 100, users: users}
	}
	needsProcesses := map[string]bool{"cold-start": true, "crash": true, "replacement": true, "crash-storm": true, "queued": true, "http": true}
	for _, m := range plan(fullCounts(), &python{}) {
		for _, row := range m.Rows {
			if needsProcesses[m.Name] || strings.HasPrefix(m.Name, "python-") {
				continue
			}
			name := m.Name + "/" + row.Side
			sub, ok := subjects[name]
			if !ok {
				t.Errorf("%s is not tested here", name)
				continue
			}
			got, err := sub.Round(t.Context())
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if _, err := startCPU(nil).total(); errors.Is(err, errors.ErrUnsupported) && row.Figure == "cpu_us" {
				continue // the row says so
			}
			if value, ok := got[row.Figure]; !ok || value < 0 {
				t.Errorf("%s: row %q shows %q of %v", name, row.What, row.Figure, got)
			}
		}
	}
}

// TestWrongAnswersAreNotFast holds the checks: a pool that mixes results up has
// no rate.
func TestWrongAnswersAreNotFast(t *testing.T) {
	t.Parallel()
	zero := inline{spoil: func([]byte) []byte { return []byte{0} }} // CBOR's 0
	for name, sub := range map[string]subject{
		"futures": &futuresRun{pool: zero, count: 10, lifetime: forever},
		"map":     &mapRun{pool: zero, count: 10},
		"echo":    poolEcho(zero, 1, 100),
	} {
		if got, err := sub.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "came back as") {
			t.Errorf("%s: figures %v, error %v", name, got, err)
		}
	}
}
