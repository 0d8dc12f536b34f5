package executor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/sched"
	"github.com/procpool/procpool/internal/wire"
)

// member is a worker of the pool. It hears what the worker says and tells the
// scheduler, which knows it as a sched.Link.
type member struct {
	*wire.Worker

	core       *core
	sched      *sched.Scheduler // which gives it calls
	home       *home            // of actors, nil for other workers
	owned      owned
	number     int
	refused    bool                    // the scheduler never gets to know it; written before registered is closed
	registered chan struct{}           // closed when the scheduler knows the worker
	own        atomic.Pointer[ownCall] // what it does for the pool itself
	last       atomic.Uint64           // the last call that was sent on lane 0
	scratch    []sched.Reply           // of the worker's receiver goroutine
	answers    atomic.Uint64           // how many calls it has answered
	vitals     vitals                  // of the goroutine that looks at them

	report wire.ExitReport // written before died is closed
	died   chan struct{}
}

// Send sends calls; see sched.Link.
func (m *member) Send(lane int, calls []*procpool.Call) {
	if lane == 0 {
		c := calls[len(calls)-1]
		m.last.Store(c.Slot.Seq + uint64(c.Items()) - 1)
	}
	m.Worker.Send(lane, calls)
}

// Stop asks the worker, which has nothing to do, to leave; see sched.Link. It makes
// its finalizer first.
func (m *member) Stop() { m.core.starts.Go(m.leave) }

func (m *member) leave() {
	c := m.core
	if final := c.cfg.Finalizer; !final.IsZero() {
		if err := m.runOwn(context.Background(), final.NewCall(), m.last.Load()+1, c.cfg.FinalTimeout); err != nil {
			m.sched.Tell(sched.Event{Kind: sched.FinalizerFailed, Worker: m.number, PID: m.PID(), Err: err})
		}
	}
	m.Worker.Stop()
	timer := time.NewTimer(leaveTime)
	defer timer.Stop()
	select {
	case <-m.died:
	case <-timer.C:
		m.Kill(fmt.Errorf("it was killed because it did not leave within %v when it was asked to", leaveTime))
	}
}

// leaveTime is how long an idle worker that was asked to leave may take.
const leaveTime = 2 * time.Second

func (m *member) replies(batch []wire.Reply) {
	m.takeBack(batch)
	m.disown(batch)
	if m.answered(batch) {
		return
	}
	m.answers.Add(uint64(len(batch)))
	m.scratch = convert(m.scratch[:0], batch)
	m.sched.Replies(m.number, m.scratch) // it kills who answers nonsense
	clear(m.scratch)
}

func convert(out []sched.Reply, batch []wire.Reply) []sched.Reply {
	for i := range batch {
		r := &batch[i]
		out = append(out, sched.Reply{Lane: r.Lane, Seq: r.Seq, Kind: kindOf(r.Kind), Data: r.Data, Err: r.Err, Run: r.Run})
	}
	return out
}

func kindOf(k wire.ReplyKind) sched.Kind {
	switch k {
	case wire.Failed:
		return sched.Failed
	case wire.Declined:
		return sched.Declined
	default:
		return sched.Result
	}
}

func (m *member) printed(stream proc.Stream, line []byte) {
	if len(line) == 0 && stream == proc.Stdout && !m.isRegistered() {
		return // workers end whatever line was begun before they print the handshake
	}
	m.core.output.line(m.number, m.running, line)
}

// running names the task that the worker runs, if any.
func (m *member) running(number int) string {
	if own := m.own.Load(); own != nil {
		return own.task
	}
	return m.sched.Running(number)
}

func (m *member) isRegistered() bool {
	select {
	case <-m.registered:
		return true
	default:
		return false
	}
}

// exited tells of the worker's end. A worker may be gone before the scheduler
// knows of it, which then comes first.
func (m *member) exited(r wire.ExitReport) {
	m.core.shared.EndWorker(m.number)
	if m.answered(r.Replies) {
		r.Replies = nil
	}
	m.report = r
	close(m.died)
	<-m.registered
	if m.refused {
		return
	}
	m.core.members.remove(m)
	m.disownAll()
	report := sched.Report{Crash: m.crash(r), Replies: convert(nil, r.Replies), PageOK: r.PageOK}
	for _, l := range r.Lanes {
		report.Lanes = append(report.Lanes, sched.LaneReport{Started: l.Started, Finished: l.Finished, Ran: l.Ran})
	}
	m.sched.Exited(m.number, report)
}

// crash puts the facts of a death into the form in which callers get them.
func (m *member) crash(r wire.ExitReport) procpool.CrashError {
	e := procpool.CrashError{
		Worker: m.number, PID: m.PID(), ExitCode: r.Exit.Code, Reason: r.Exit.String(),
		OOM: oomOf(r.Exit.OOM), MaxRSS: r.Exit.MaxRSS, UserCPU: r.Exit.User, SystemCPU: r.Exit.System, Stderr: r.Stderr,
	}
	if r.Exit.Signal != 0 {
		e.Signal = proc.SignalName(r.Exit.Signal)
	}
	if r.Err != nil {
		e.Reason = r.Err.Error()
	}
	if errors.Is(r.Err, errHung) {
		e.Hung = true
	}
	return e
}

func oomOf(o proc.OOM) procpool.OOM {
	switch o {
	case proc.OOMYes:
		return procpool.OOMYes
	case proc.OOMLikely:
		return procpool.OOMLikely
	default:
		return procpool.OOMNo
	}
}
