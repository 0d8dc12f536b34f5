package sched_test

import (
	"math/rand/v2"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// nestedCall is a call that a task of the model has made.
type nestedCall struct {
	rec   *record
	call  *procpool.Call
	ended chan struct{} // of all calls that the task makes
}

// attempt is a start of a call in a worker that may make nested ones.
type attempt struct {
	lane int
	seq  uint64
}

// newNested makes a call for a task that runs.
func (w *world) newNested(rng *rand.Rand, parent *record, ended chan struct{}) *nestedCall {
	as := &manner{last: make(map[string]int)}
	relay := procpool.Relay{Task: "task0", Codec: procpool.Raw.Name(), Suspect: rng.IntN(20) == 0}
	if rng.IntN(3) == 0 {
		as.timeout = time.Duration(1+rng.IntN(10000)) * time.Microsecond
		relay.Timeout = as.timeout
	}
	if rng.IntN(3) == 0 {
		relay.Priority = rng.IntN(5) - 2
	}
	if rng.IntN(4) == 0 {
		relay.Key = string(rune('0' + rng.IntN(6))) // a hint, which the model does not hold against anybody
	}
	if rng.IntN(6) == 0 {
		relay.Kind, relay.Window, relay.WindowBytes = procpool.KindStream, 1, 1
	}
	n := &nestedCall{rec: w.newCall(rng, w.kindOf(rng, as), as), ended: ended}
	n.rec.depth, n.rec.stream = parent.depth+1, relay.Kind != procpool.KindFunction
	relay.Payload, relay.Done = []byte(n.rec.text), n.done
	n.call = relay.NewCall()
	return n
}

// done is the end of a nested call. The scheduler may have its lock.
func (n *nestedCall) done(_ *procpool.Call, reply []byte, err error) {
	w := n.rec.w
	w.mu.Lock()
	n.rec.outcomes++
	e := end{cancelled: n.rec.abandoned, nested: true}
	w.mu.Unlock()
	w.judge(n.rec, reply, err, e)
	n.ended <- struct{}{}
}

// giveUp cancels a nested call, as its task or the end of its task does.
func (n *nestedCall) giveUp() {
	w := n.rec.w
	w.mu.Lock()
	n.rec.abandoned = true
	w.mu.Unlock()
	if !n.call.Cancel() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.rec.noted == 0 && n.rec.starts == 0 {
		n.rec.forbidden = true
	}
}

// nest makes nested calls and waits for them. It reports whether the worker lives, and
// whether the call was cancelled meanwhile.
func (l *modelLane) nest(it item, cancelled <-chan struct{}) (alive, stopped bool) {
	total := 1 + l.rng.IntN(4)
	at := 1 // how many are under way together
	if l.rng.IntN(2) == 0 {
		at = total
	}
	if l.rng.IntN(4) == 0 {
		l.m.rest(attempt{l.index, it.seq}, l.rng.IntN(2) == 0)
		l.waitsFor(it.rec, 0)
	}
	ended := make(chan struct{}, total)
	var made []*nestedCall
	for under := 0; len(made) < total || under > 0; {
		select {
		case <-cancelled:
			for _, n := range made {
				l.m.postCancel(n)
			}
			l.waitsFor(it.rec, 0)
			return true, true
		default:
		}
		if under < at && len(made) < total {
			n := l.m.w.newNested(l.rng, it.rec, ended)
			made = append(made, n)
			under++
			l.waitsFor(it.rec, under)
			l.m.post(attempt{l.index, it.seq}, n)
			continue
		}
		var impatient <-chan time.Time
		if l.rng.IntN(8) == 0 {
			impatient = time.After(time.Duration(l.rng.IntN(500)) * time.Microsecond)
		}
		select {
		case <-ended:
			under--
			l.waitsFor(it.rec, under)
			if l.rng.IntN(4) == 0 {
				by := attempt{l.index, it.seq}
				l.m.tell(func() { l.m.goOn(by) })
			}
			if l.rng.IntN(2) == 0 && under == 0 {
				select {
				case <-time.After(runTime(l.rng)):
				case <-cancelled:
				case <-l.m.dead:
					return false, false
				}
			}
		case <-impatient:
			l.m.postCancel(made[l.rng.IntN(len(made))])
		case <-cancelled: // and so it ends above
		case <-l.m.dead:
			return false, false
		}
	}
	return true, false
}

// waitsFor notes how many nested calls the call of the lane waits for.
func (l *modelLane) waitsFor(r *record, n int) {
	l.m.w.mu.Lock()
	defer l.m.w.mu.Unlock()
	r.lent = true
	switch now := time.Now(); {
	case n > 0 && l.waitsSince.IsZero():
		l.waitsSince = now
	case n == 0 && !l.waitsSince.IsZero():
		l.waited += now.Sub(l.waitsSince)
		l.waitsSince = time.Time{}
	}
}

// ranLocked returns how long the call of the lane has run without what it waited.
func (l *modelLane) ranLocked() time.Duration {
	ran := time.Since(l.startedAt) - l.waited
	if !l.waitsSince.IsZero() {
		ran -= time.Since(l.waitsSince)
	}
	return ran
}

// post has the host hear of a nested call, and postCancel that it is given up.
func (m *modelWorker) post(by attempt, n *nestedCall) {
	m.tell(func() {
		m.w.mu.Lock()
		m.children[by] = append(m.children[by], n)
		n.rec.posted = true
		m.w.mu.Unlock()
		p := sched.Parent{Worker: m.number, Lane: uint32(by.lane), Seq: by.seq}
		if err := m.w.s.EnqueueNested(n.call, p, n.rec.depth); err != nil {
			n.call.Finish(nil, err)
		}
	})
}

func (m *modelWorker) postCancel(n *nestedCall) {
	m.tell(n.giveUp)
}

// rest has the host hear that a call waits for something else from now on, and has lent
// its slot or not. It goes on at the end of the attempt, unless it does before.
func (m *modelWorker) rest(by attempt, lends bool) {
	m.tell(func() {
		p := sched.Parent{Worker: m.number, Lane: uint32(by.lane), Seq: by.seq}
		goesOn := func() {}
		if !lends {
			goesOn = m.w.s.Pause(p)
		} else if over, err := m.w.s.Lend(p, "task0"); err == nil {
			goesOn = over
		}
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		m.rests[by] = goesOn
	})
}

func (m *modelWorker) goOn(by attempt) {
	m.w.mu.Lock()
	goesOn := m.rests[by]
	delete(m.rests, by)
	m.w.mu.Unlock()
	if goesOn != nil {
		goesOn()
	}
}

// tell hands something over that the receiver does, in turn with the replies.
func (m *modelWorker) tell(do func()) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if !m.isDead {
		m.kernel = append(m.kernel, message{do: do})
		signal(m.arrived)
	}
}

// orphan gives up the nested calls of an attempt that is over.
func (m *modelWorker) orphan(by attempt) {
	m.w.mu.Lock()
	calls := m.children[by]
	delete(m.children, by)
	m.w.mu.Unlock()
	for _, n := range calls {
		n.giveUp()
	}
	m.goOn(by)
}

// orphanAll does so for all attempts, when the worker is dead.
func (m *modelWorker) orphanAll() {
	m.w.mu.Lock()
	var all []attempt
	for by := range m.children {
		all = append(all, by)
	}
	for by := range m.rests {
		all = append(all, by)
	}
	m.w.mu.Unlock()
	for _, by := range all {
		m.orphan(by)
	}
}
