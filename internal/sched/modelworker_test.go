package sched_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
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
	rng      *rand.Rand // of the serving goroutine
	sendRng  *rand.Rand // of whoever sends

	dead       chan struct{}
	registered chan struct{} // closed when the scheduler knows of it
	served     chan struct{} // closed when no call can start any more
	received   chan struct{} // closed when no reply is on its way any more

	// The rest is guarded by world.mu.
	isDead            bool
	fence             uint64
	started, finished uint64
	inbox             []item
	wake              chan struct{}
	sent              map[uint64]*record // and not answered
	backlog           int                // bytes of arguments that were sent and not answered
	marks             map[uint64]bool    // cancelled before they started
	running           uint64
	cancelled         chan struct{}   // of the running call
	journal           []sched.Reply   // ready, not handed over
	kernel            [][]sched.Reply // handed over, in batches
	arrived           chan struct{}   // tells the receiver of a batch
}

// item is a call in a worker's hands.
type item struct {
	seq   uint64
	rec   *record
	bytes int
}

func newModelWorker(w *world, number int) *modelWorker {
	rng := w.rand()
	m := &modelWorker{
		w: w, number: number, recorder: rng.Float64() >= w.noRecorder, rng: rng, sendRng: w.rand(),
		dead: make(chan struct{}), registered: make(chan struct{}), served: make(chan struct{}), received: make(chan struct{}),
		fence: noFence, wake: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
		sent: make(map[uint64]*record), marks: make(map[uint64]bool),
	}
	w.all.Go(m.serve)
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
func (m *modelWorker) Send(_ int, calls []*procpool.Call) {
	m.w.mu.Lock()
	for _, c := range calls {
		m.backlog += len(c.Payload())
		for i, text := range itemsOf(c) {
			m.sent[c.Slot.Seq+uint64(i)] = m.w.lookUp(text)
		}
	}
	slow := m.backlog > sched.InlineBytes
	m.w.mu.Unlock()
	for _, c := range calls {
		if slow {
			select {
			case <-time.After(time.Duration(m.sendRng.IntN(300)) * time.Microsecond):
			case <-m.dead:
				return
			}
		}
		m.w.mu.Lock()
		for i, text := range itemsOf(c) {
			m.inbox = append(m.inbox, item{c.Slot.Seq + uint64(i), m.w.lookUp(text), len(text)})
		}
		m.w.mu.Unlock()
		signal(m.wake)
		if m.sendRng.IntN(4) == 0 {
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

func (m *modelWorker) Cancel(_ int, seq uint64) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if seq != m.running {
		m.marks[seq] = true
	} else if m.cancelled != nil {
		close(m.cancelled)
		m.cancelled = nil
	}
}

func (m *modelWorker) Fence(_ int, k uint64) (uint64, bool) {
	if !m.recorder {
		return 0, false
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.fence = k
	return m.started, true
}

func (m *modelWorker) Unfence(int) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.fence = noFence
}

func (m *modelWorker) Progress(int) (started, finished uint64, ran time.Duration) {
	if !m.recorder {
		return 0, 0, 0
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.started, m.finished, 0
}

func (m *modelWorker) SetHot(bool) {}

func (m *modelWorker) Stop()      { m.die() }
func (m *modelWorker) Kill(error) { m.die() }

// die freezes the page: nothing starts, finishes or is handed over from now on.
func (m *modelWorker) die() {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if !m.isDead {
		m.isDead = true
		close(m.dead)
	}
}

// serve is the worker's lane.
func (m *modelWorker) serve() {
	defer close(m.served)
	for {
		it, ok := m.next()
		if !ok {
			return
		}
		m.w.mu.Lock()
		if m.isDead {
			m.w.mu.Unlock()
			return
		}
		before := m.started
		m.started = it.seq
		it.rec.noted++
		m.w.mu.Unlock()

		m.hesitate()

		m.w.mu.Lock()
		if m.isDead {
			m.w.mu.Unlock()
			return
		}
		if it.seq > m.fence || m.marks[it.seq] {
			m.started = before
			it.rec.noted--
			m.answerLocked(it, sched.Reply{Seq: it.seq, Kind: sched.Declined})
			m.w.mu.Unlock()
			continue
		}
		it.rec.startLocked(m)
		m.running = it.seq
		cancelled := make(chan struct{})
		m.cancelled = cancelled
		m.w.mu.Unlock()

		reply, ok := m.run(it, cancelled)
		if !ok {
			return
		}
		m.w.mu.Lock()
		m.running, m.cancelled = 0, nil
		if m.isDead {
			m.w.mu.Unlock()
			return
		}
		m.answerLocked(it, reply)
		m.finished = it.seq
		it.rec.finished = true
		m.w.mu.Unlock()
	}
}

// hesitate is the moment between a start's note and the look at the fence.
func (m *modelWorker) hesitate() {
	switch m.rng.IntN(8) {
	case 0:
		runtime.Gosched()
	case 1:
		select {
		case <-time.After(time.Duration(m.rng.IntN(200)) * time.Microsecond):
		case <-m.dead:
		}
	}
}

func (m *modelWorker) run(it item, cancelled chan struct{}) (reply sched.Reply, ok bool) {
	begin := time.Now()
	reply = sched.Reply{Seq: it.seq, Data: []byte(it.rec.text)}
	wait := it.rec.run
	switch it.rec.kind {
	case deaf:
		<-m.dead
		return reply, false
	case crashes:
		wait /= 2
	}
	select {
	case <-time.After(wait):
	case <-m.dead:
		return reply, false
	case <-cancelled:
		reply.Kind, reply.Err = sched.Failed, &procpool.TaskError{Message: "given up"}
	}
	switch {
	case reply.Kind == sched.Failed:
	case it.rec.kind == crashes:
		m.die()
		return reply, false
	case it.rec.kind == fails:
		reply.Kind, reply.Err = sched.Failed, &procpool.TaskError{Message: "no"}
	}
	reply.Run = time.Since(begin)
	return reply, true
}

// next returns the next call. Replies are handed over before the worker sleeps and
// before a call that takes a while.
func (m *modelWorker) next() (item, bool) {
	for {
		m.w.mu.Lock()
		if m.isDead {
			m.w.mu.Unlock()
			return item{}, false
		}
		if len(m.inbox) == 0 || m.inbox[0].rec.run > 20*time.Microsecond || m.rng.IntN(3) == 0 {
			m.flushLocked()
		}
		if len(m.inbox) > 0 {
			it := m.inbox[0]
			m.inbox = m.inbox[1:]
			m.w.mu.Unlock()
			return it, true
		}
		m.w.mu.Unlock()
		select {
		case <-m.wake:
		case <-m.dead:
		}
	}
}

func (m *modelWorker) answerLocked(it item, r sched.Reply) {
	m.backlog -= it.bytes
	m.journal = append(m.journal, r)
}

func (m *modelWorker) flushLocked() {
	if len(m.journal) > 0 {
		m.kernel = append(m.kernel, m.journal)
		m.journal = nil
		signal(m.arrived)
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
			m.w.mu.Lock()
			for _, r := range batch {
				delete(m.sent, r.Seq)
			}
			m.w.mu.Unlock()
			if !m.w.s.Replies(m.number, batch) {
				m.w.t.Errorf("worker %d: the scheduler sees no sense in %+v", m.number, batch)
			}
		}
	}
}

// supervise reports the worker's end.
func (m *modelWorker) supervise() {
	<-m.dead
	<-m.served
	<-m.received
	<-m.registered
	rng := m.w.rand()
	m.w.mu.Lock()
	r := sched.Report{
		Crash: procpool.CrashError{Worker: m.number, PID: m.PID(), Reason: "the model killed it"},
		Lanes: []sched.LaneReport{{Started: m.started, Finished: m.finished}}, PageOK: m.recorder && rng.Float64() >= m.w.badPage,
	}
	if m.recorder {
		r.Replies = slices.DeleteFunc(slices.Clone(m.journal), func(sched.Reply) bool { return rng.IntN(10) == 0 })
	}
	for _, rec := range m.sent {
		if !r.PageOK {
			rec.blind = true
		}
		if rec.noted == 0 {
			rec.aboard++
		}
	}
	delete(m.w.workers, m.number)
	m.w.mu.Unlock()
	m.w.s.Exited(m.number, r)
}
