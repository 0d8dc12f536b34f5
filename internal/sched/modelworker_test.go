package sched_test

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// modelWorker is a worker as the contract has it: it starts its calls in order,
// each by the steps of the flight recorder and its fence, and hands its replies
// over in batches. It may die at any moment, and the page it leaves is faithful.
type modelWorker struct {
	w        *world
	number   int
	recorder bool
	lanes    []*modelLane
	slots    int // how many calls it runs at once

	dead       chan struct{}
	registered chan struct{} // closed when the scheduler knows of it
	served     chan struct{} // closed when no call can start any more
	serving    sync.WaitGroup
	received   chan struct{} // closed when no reply is on its way any more

	// The rest is guarded by world.mu.
	isDead  bool
	starts  int           // calls that it has started
	backlog int           // bytes of arguments that were sent and not answered
	kernel  []message     // handed over, in batches
	arrived chan struct{} // tells the receiver of a batch

	children map[attempt][]*nestedCall // that the host has heard of
	rests    map[attempt]func()        // ends what a call waits for beside them
}

// message is what a worker hands over at a time: replies, or something else that the
// receiver does.
type message struct {
	replies []sched.Reply
	do      func()
}

func newModelWorker(w *world, number int) *modelWorker {
	rng := w.rand()
	m := &modelWorker{
		w: w, number: number, recorder: rng.Float64() >= w.noRecorder,
		dead: make(chan struct{}), registered: make(chan struct{}), served: make(chan struct{}), received: make(chan struct{}),
		arrived: make(chan struct{}, 1), slots: 1 + rng.IntN(w.slots), children: make(map[attempt][]*nestedCall),
		rests: make(map[attempt]func()),
	}
	for index := range m.slots + w.moreLanes {
		l := newModelLane(m, index)
		m.lanes = append(m.lanes, l)
		m.serving.Add(1)
		w.all.Go(l.serve)
	}
	w.all.Go(func() { m.serving.Wait(); close(m.served) })
	w.all.Go(m.receive)
	w.all.Go(m.supervise)
	return m
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (m *modelWorker) PID() int { return 1000 + m.number }

// Send blocks only where a stream would: when more is on its way than it takes.
func (m *modelWorker) Send(lane int, calls []*procpool.Call) {
	l := m.lanes[lane]
	m.w.mu.Lock()
	for _, c := range calls {
		m.backlog += len(c.Payload())
		for i, text := range itemsOf(c) {
			rec := m.w.lookUp(text)
			rec.plain = rec.plain || !m.recorder
			for _, other := range l.sent {
				if rec.stream || other.stream {
					m.w.t.Errorf("worker %d: call %d is sent behind call %d, and one of them is a stream", m.number, rec.id, other.id)
				}
			}
			l.sent[c.Slot.Seq+uint64(i)] = rec
		}
	}
	slow := m.backlog > sched.InlineBytes
	m.w.mu.Unlock()
	for _, c := range calls {
		if slow {
			select {
			case <-time.After(time.Duration(l.sendRng.IntN(300)) * time.Microsecond):
			case <-m.dead:
				return
			}
		}
		m.w.mu.Lock()
		for i, text := range itemsOf(c) {
			l.inbox = append(l.inbox, item{c.Slot.Seq + uint64(i), m.w.lookUp(text), len(text)})
		}
		m.w.mu.Unlock()
		signal(l.wake)
		if l.sendRng.IntN(4) == 0 {
			runtime.Gosched()
		}
	}
}

func itemsOf(c *procpool.Call) (texts []string) {
	payload, sizes := c.Payload(), c.ItemSizes()
	if sizes == nil {
		return []string{string(payload)}
	}
	for _, size := range sizes {
		texts = append(texts, string(payload[:size]))
		payload = payload[size:]
	}
	return texts
}

func (m *modelWorker) Cancel(lane int, seq uint64) {
	l := m.lanes[lane]
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if seq != l.running {
		l.marks[seq] = true
	} else if l.cancelled != nil {
		close(l.cancelled)
		l.cancelled = nil
	}
}

func (m *modelWorker) Fence(lane int, k uint64) (uint64, bool) {
	if !m.recorder {
		return 0, false
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.lanes[lane].fence = k
	return m.lanes[lane].started, true
}

func (m *modelWorker) Unfence(lane int) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.lanes[lane].fence = noFence
}

func (m *modelWorker) Progress(lane int) (started, finished uint64, ran time.Duration) {
	if !m.recorder {
		return 0, 0, 0
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	l := m.lanes[lane]
	return l.started, l.finished, l.ranLocked()
}

func (m *modelWorker) Waiting(lane int) bool {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.recorder && !m.lanes[lane].waitsSince.IsZero()
}

func (m *modelWorker) SetHot(bool) {}

// Stop is the end of a worker that holds nothing.
func (m *modelWorker) Stop() {
	m.w.mu.Lock()
	for _, l := range m.lanes {
		if len(l.sent) > 0 {
			m.w.t.Errorf("worker %d is asked to leave and holds %d calls", m.number, len(l.sent))
		}
	}
	m.w.mu.Unlock()
	m.die()
}

func (m *modelWorker) Kill(error) { m.die() }

// die freezes the page: nothing starts, finishes or is handed over from now on.
func (m *modelWorker) die() {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if !m.isDead {
		m.isDead = true
		for _, l := range m.lanes {
			if l.current != nil {
				l.current.running = nil
			}
		}
		close(m.dead)
	}
}

// receive is the host's receiver for this worker.
func (m *modelWorker) receive() {
	defer close(m.received)
	rng := m.w.rand()
	for ended := false; ; {
		m.w.mu.Lock()
		batches := m.kernel
		m.kernel = nil
		m.w.mu.Unlock()
		if len(batches) == 0 {
			if ended {
				return
			}
			select {
			case <-m.arrived:
			case <-m.served:
				ended = true
			}
			continue
		}
		if rng.IntN(2) == 0 {
			<-time.After(time.Duration(rng.IntN(100)) * time.Microsecond)
		}
		for _, batch := range batches {
			if batch.do != nil {
				batch.do()
				continue
			}
			m.deliver(batch.replies, rng.IntN(2) == 0)
		}
	}
}

// deliver gives replies to the scheduler, and gives up the nested calls of the calls that
// they are for, before or after that.
func (m *modelWorker) deliver(replies []sched.Reply, before bool) {
	m.w.mu.Lock()
	for _, r := range replies {
		delete(m.lanes[r.Lane].sent, r.Seq)
	}
	m.w.mu.Unlock()
	orphan := func() {
		for _, r := range replies {
			m.orphan(attempt{int(r.Lane), r.Seq})
		}
	}
	if before {
		orphan()
	}
	if !m.w.s.Replies(m.number, replies) {
		m.w.t.Errorf("worker %d: the scheduler sees no sense in %+v", m.number, replies)
	}
	if !before {
		orphan()
	}
}

// supervise reports the worker's end.
func (m *modelWorker) supervise() {
	<-m.dead
	<-m.served
	<-m.received
	<-m.registered
	rng := m.w.rand()
	if rng.IntN(2) == 0 {
		m.orphanAll()
	}
	m.w.mu.Lock()
	r := sched.Report{
		Crash:  procpool.CrashError{Worker: m.number, PID: m.PID(), Reason: "the model killed it"},
		PageOK: m.recorder && rng.Float64() >= m.w.badPage,
	}
	for _, l := range m.lanes {
		r.Lanes = append(r.Lanes, sched.LaneReport{Started: l.started, Finished: l.finished})
		if m.recorder {
			r.Replies = append(r.Replies, slices.DeleteFunc(l.journal, func(sched.Reply) bool { return rng.IntN(10) == 0 })...)
		}
		for seq, rec := range l.sent {
			if !r.PageOK {
				rec.blind = true
			}
			if seq > l.started {
				rec.aboard++
			}
		}
	}
	delete(m.w.workers, m.number)
	m.w.mu.Unlock()
	m.w.s.Exited(m.number, r)
	m.orphanAll()
}
