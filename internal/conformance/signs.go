package conformance

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// signCases are about signs of life.
func signCases() []Case {
	const s = "signs of life"
	return []Case{
		{Section: s, Name: "idle", uses: []string{"add"}, run: pingsIdle, Promise: "Each Ping is answered with one Pong of the same number, whatever the numbers."},
		{Section: s, Name: "waiting call", uses: []string{"hold"}, run: pingsBusy("hold"), Promise: "A Ping is answered while a call waits."},
		{Section: s, Name: "computing call", uses: []string{"spin"}, run: pingsBusy("spin"), Promise: "A Ping is answered while a call computes."},
		{Section: s, Name: "deaf call", uses: []string{"hold_out"}, run: pingsBusy("hold_out"), Promise: "A Ping is answered while a call ignores everything."},
		{Section: s, Name: "large payload", uses: []string{"length"}, run: pingsBeside, Promise: "Pings are answered while a payload of 64 MiB is on its way."},
		{Section: s, Name: "drain and the unknown", uses: []string{"add"}, run: drains, Promise: "A Drain, an event that nobody knows and an empty message need no answer and change nothing."},
		{Section: s, Name: "lives", uses: []string{"hold", "spin", "pid"}, run: staysAlive, Promise: "A pool does not take the worker for hung while it idles, waits or computes for longer than HungAfter."},
		{Section: s, Name: "stopped", uses: []string{"hold", "pid"}, run: stoppedIsFound, Promise: "A worker that is stopped in a call is found to be hung, killed and replaced. Linux only."},
	}
}

func pingsIdle(t *trial) {
	w := t.raw()
	ids := []uint64{1, 2, 0, math.MaxUint64, 7, 7, 1 << 63, 3, 1}
	for _, id := range ids {
		t.must(w.Ping(id))
	}
	w.pongs(fmt.Sprintf("Pings came with the numbers %d", ids), ids)
	ids = nil
	for i := range 500 {
		ids = append(ids, uint64(i))
		t.must(w.Ping(uint64(i)))
	}
	w.pongs("500 Pings came at once", ids)
	w.works("Pings came")
}

// pongs waits for Pongs of those numbers, in any order.
func (w *raw) pongs(done string, ids []uint64) {
	ctx, cancel := w.t.within()
	defer cancel()
	left := slices.Clone(ids)
	for len(left) > 0 {
		pong, err := w.Pong(ctx)
		if err != nil {
			w.t.failf("%s: expected %d Pongs, got %d: %v", done, len(ids), len(ids)-len(left), err)
		}
		i := slices.Index(left, pong.GetId())
		if i < 0 {
			w.t.failf("%s: expected a Pong for each, got one of the number %d beside", done, pong.GetId())
		}
		left = slices.Delete(left, i, i+1)
	}
}

func pingsBusy(name string) func(*trial) {
	return func(t *trial) {
		w := t.raw()
		w.holding(name)
		for i := range uint64(5) {
			t.must(w.Ping(i))
			w.pongs("A Ping came while the worker ran "+name, []uint64{i})
		}
	}
}

func pingsBeside(t *trial) {
	w := t.raw()
	const size = 64 * mebibyte
	task := w.task("length", patterned(size))
	sent := make(chan error, 1)
	go func() { sent <- w.Send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{task}}) }()
	for i := uint64(1); !w.Answered(0, task.GetSeq()); i++ {
		t.must(w.Ping(i))
		w.pongs("Pings came while a payload of 64 MiB was on its way", []uint64{i})
	}
	t.must(<-sent)
	const done = "length was called with 64 MiB"
	expect(t, done, decode[int](t, done, w.answer(done, task)), size)
}

func drains(t *trial) {
	w := t.raw()
	t.must(w.Tell(&workerv1.ControlRequest{Event: &workerv1.ControlRequest_Drain{Drain: &workerv1.Drain{}}}))
	t.must(w.Tell(rawhost.WithUnknown(&workerv1.ControlRequest{})))
	t.must(w.Tell(&workerv1.ControlRequest{}))
	t.must(w.Tell(rawhost.WithUnknown(&workerv1.ControlRequest{Event: &workerv1.ControlRequest_Ping{Ping: rawhost.WithUnknown(&workerv1.Ping{Id: 5})}})))
	w.pongs("A Drain, an event that nobody knows, an empty ControlRequest and a Ping with fields that nobody knows came", []uint64{5})
	w.works("A Drain and events that nobody knows came")
}

// hungAfter is the least that can be told apart from a busy machine, and some more.
const hungAfter = time.Second

func staysAlive(t *trial) {
	p := t.pool(func(c *executor.Config) { c.HungAfter = hungAfter })
	pid := p.pid()
	for i, state := range []string{"idled", "waited", "computed"} {
		until := t.path(fmt.Sprint("until", i))
		var f *procpool.Future[string]
		if name := []string{"", "hold", "spin"}[i]; name != "" {
			f = submit[string](p, name, args{"mark": t.path("mark"), "until": until})
		}
		ctx, cancel := context.WithTimeout(t.ctx, hungAfter*3/2)
		<-ctx.Done()
		cancel()
		t.create(until)
		done := fmt.Sprintf("HungAfter is %v, and the worker %s for half as long again", hungAfter, state)
		if f != nil {
			expect(t, done, result(p, done, f), "released")
		}
		p.sameWorker(pid, done)
	}
}

func stoppedIsFound(t *trial) {
	if runtime.GOOS != "linux" {
		t.skipf("only Linux tells whether a worker is hung")
	}
	p := t.pool(func(c *executor.Config) { c.HungAfter = hungAfter })
	pid := p.pid()
	mark := t.path("mark")
	f := submit[string](p, "hold", args{"mark": mark})
	t.awaitStarted(mark, "hold was called")
	t.signal(pid, syscall.Signal(stopSignal))
	done := fmt.Sprintf("HungAfter is %v, and the worker got SIGSTOP while it ran hold", hungAfter)
	expect(t, done+": the crash's Hung", errorAs[*procpool.CrashError](p, done, failure(p, done, f)).Hung, true)
	if p.pid() == pid {
		t.failf("%s: expected another process for the next call, it is the same", done)
	}
}

// stopSignal is SIGSTOP on Linux, where alone it is used.
const stopSignal = 19
