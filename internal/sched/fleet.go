package sched

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// fleetConfig says how many workers there are to be and how long they stay.
type fleetConfig struct {
	Min, Max    int            // workers that take calls, 1 <= Min <= Max
	Extra       int            // workers beyond these in the place of some that are stuck
	Spares      int            // workers kept ready beside them that take none
	GrowAfter   time.Duration  // a call that waits so long makes the fleet grow
	IdleTimeout time.Duration  // a worker beyond Min that idles so long is let go
	MaxCalls    int            // calls after which a worker is replaced, 0 for never
	MaxAge      time.Duration  // age at which a worker is replaced, 0 for never
	Number      func() int     // the next worker's number, above those before; nil to count
	Once        bool           // workers are launched for calls that wait, and for nothing else
	Fraction    func() float64 // chance, in [0, 1); nil for math/rand
}

// fleet decides how many workers there are, which of them take calls, and which
// are to be replaced (rules 6.7 and 6.11). It is told what happens and asked for
// orders. It keeps no time: now is in nanoseconds of any clock that starts at zero
// or above and never goes back.
//
// A worker starts; when it is ready it is a spare; when ordered to it serves, which
// is to take calls; and at last it retires, which is to finish what it holds. The
// fleet's aim is target serving workers and Spares spares, one more for each worker
// that is stuck, within Extra, and one more while any is due for replacement. A replacement is an ordinary new worker: when
// it is ready it serves in the place of one that is due.
type fleet struct {
	cfg     fleetConfig
	target  int               // how many are to serve, from Min to Max
	extra   int               // how many beside them, from 0 to Extra
	stuck   int               // how many of those that serve can't
	members []*member         // those that may have a process, by number
	n       [memberStates]int // how many of them are in each state
	numbers int               // the last number given out
	began   bool              // a worker has been ready
	ended   bool

	restarts restarts
	heldBack int   // failed starts that are not to be made good before retryAt
	retryAt  int64 // 0 for no such time

	grownAt, shrunkAt int64         // when target last grew or shrank with the load
	startTime         time.Duration // how long a start takes, the latest ones counting most

	stale bool    // something happened since the last plan
	alarm int64   // when something will by itself, whatever the load; 0 for never
	plan  []order // the orders of the plan that is being made
}

// member is a worker of the fleet.
type member struct {
	number   int
	state    memberState
	launched int64
	born     int64        // when it was ready
	served   int64        // when it began to serve
	expires  int64        // when it is too old, 0 for never
	limit    int          // how many calls it may be given, 0 for any number
	spent    bool         // it has been given them
	why      retireReason // why it is due for replacement; stays if it is not
}

type memberState uint8

const (
	starting memberState = iota
	spare
	serving
	retiring
	memberStates
)

// retireReason says why a worker is retired.
type retireReason uint8

const (
	stays         retireReason = iota
	retireIdle                 // the load needs fewer
	retireSurplus              // the configuration asks for fewer, or it came too late
	retireCalls                // it was given its number of calls, or soon will have been
	retireAge
	retireMemory
	retireRestart
	retireStuck // a call in it does not stop
)

func (r retireReason) String() string {
	return [...]string{"stays", "idle", "surplus", "calls", "age", "memory", "restart", "a call that does not stop"}[r]
}

// order is what the caller of orders has to do.
type order struct {
	kind   orderKind
	number int
	why    retireReason // of orderRetire
}

type orderKind uint8

const (
	// orderLaunch: start a worker with this number, and report ready or failed.
	orderLaunch orderKind = iota
	// orderServe: this worker, which is ready, takes calls from now on.
	orderServe
	// orderRetire: feed this worker nothing more; when it holds nothing, ask it
	// to leave.
	orderRetire
)

// load is what the calls look like at the moment.
type load struct {
	waiting   int
	since     int64 // when the oldest that waits came
	idle      int   // serving workers that hold nothing
	idlest    int   // the one of them that has idled longest, 0 for none
	idleSince int64 // since when it has
	stuck     int   // serving workers that can take no call before another one has
}

// fleetCounts says how many workers there are of each kind. Owed are those that
// are wanted and not even starting.
type fleetCounts struct{ serving, spare, starting, retiring, owed int }

func newFleet(cfg fleetConfig) *fleet {
	if cfg.Fraction == nil {
		cfg.Fraction = rand.Float64 //nolint:gosec // jitter, no secret
	}
	f := &fleet{cfg: cfg, target: cfg.Min, restarts: restarts{fraction: cfg.Fraction, patience: patience}, stale: true}
	if cfg.Once {
		f.restarts.patience = patienceOnce
	}
	return f
}

// ready says that a launched worker is ready, and returns how many calls it may be
// given in its life, 0 for any number. It takes none before it is ordered to serve.
func (f *fleet) ready(number int, now int64) (limit int) {
	m := f.find(number)
	if m == nil || m.state != starting {
		return 0
	}
	took := time.Duration(now - m.launched)
	if !f.began {
		f.startTime = took
	}
	f.began = true
	f.startTime += (took - f.startTime) / 4
	m.born = now
	if f.cfg.MaxCalls > 0 {
		m.limit = max(f.cfg.MaxCalls-int(f.cfg.Fraction()*float64(f.cfg.MaxCalls)/10), 1)
	}
	if f.cfg.MaxAge > 0 {
		m.expires = now + int64(f.cfg.MaxAge) - int64(f.cfg.Fraction()*float64(f.cfg.MaxAge)/10)
	}
	f.move(m, spare)
	return m.limit
}

// failed says that a launched worker never became ready.
func (f *fleet) failed(number int, now int64, err error) {
	if f.remove(number) != nil {
		f.holdBack(number, now, err)
	}
}

// gone says that the process of a worker that was ready is gone, whether it was
// retired or not. early tells that it died unasked before it started its first call
// and before it had lived for settled, which counts as a failed start. Any other
// death is made good at once.
func (f *fleet) gone(number int, now int64, early bool, err error) {
	m := f.remove(number)
	switch {
	case m == nil || m.state == retiring:
	case early:
		f.holdBack(number, now, err)
	default:
		f.proved(number)
	}
}

// proved says that a worker has shown that it can work: it has started a call. One
// that was launched before the last failure says nothing about what fails now.
func (f *fleet) proved(number int) {
	if f.restarts.failures > 0 && number > f.restarts.newest {
		f.restarts.proved()
		f.heldBack, f.retryAt, f.stale = 0, 0, true
	}
}

// used says how many calls a worker with a limit has been given by now.
func (f *fleet) used(number, given int, now int64) {
	m := f.find(number)
	if m == nil || m.state != serving || m.limit == 0 || m.spent {
		return
	}
	if given >= m.limit {
		m.spent, f.stale = true, true
		return
	}
	if f.cfg.Spares > 0 || m.why != stays {
		return // what is to take its place is ready, or on its way
	}
	// A worker younger than a start takes may have had a burst at first, from
	// which nothing follows.
	age := max(now-m.served, int64(f.startTime))
	if float64(m.limit-given)*float64(age) < float64(given)*float64(f.startTime) {
		f.due(number, retireCalls)
	}
}

// due says that a worker is to be replaced, its replacement warm first.
func (f *fleet) due(number int, why retireReason) {
	m := f.find(number)
	if m != nil && m.state != retiring && m.why == stays {
		m.why, f.stale = why, true
	}
}

// lost says that the caller has retired a worker without being ordered to.
func (f *fleet) lost(number int) {
	if m := f.find(number); m != nil {
		f.move(m, retiring)
	}
}

// resize changes Min and Max.
func (f *fleet) resize(low, high int) {
	f.cfg.Min, f.cfg.Max = low, high
	f.target = min(max(f.target, low), high)
	f.stale = true
}

// restart has all workers of this moment replaced, one after the other.
func (f *fleet) restart() (ticket int) {
	for _, m := range f.members {
		f.due(m.number, retireRestart)
	}
	return f.numbers
}

// restarted reports whether none is left of the workers that restart was for.
func (f *fleet) restarted(ticket int) bool {
	return len(f.members) == 0 || f.members[0].number > ticket
}

// end says that there are to be no more orders.
func (f *fleet) end() { f.ended = true }

// refusal returns the error with which to refuse calls, nil while there is a worker
// or it is worth waiting for one.
func (f *fleet) refusal() error {
	if f.n[serving]+f.n[spare] > f.stuck {
		return nil
	}
	return f.restarts.refusal()
}

func (f *fleet) counts() fleetCounts {
	return fleetCounts{
		serving: f.n[serving], spare: f.n[spare], starting: f.n[starting], retiring: f.n[retiring],
		owed: max(f.goal()+f.cfg.Spares-f.living(), 0),
	}
}

// surplus reports whether there are to be more workers than the least, full whether
// there are to be as many as there may.
func (f *fleet) surplus() bool { return f.target > f.cfg.Min || f.extra > 0 }
func (f *fleet) full() bool    { return f.target >= f.cfg.Max }

// goal returns how many workers are to serve, those included that are stuck.
func (f *fleet) goal() int { return f.target + f.extra }

// living returns how many workers there are that do not retire.
func (f *fleet) living() int { return f.n[starting] + f.n[spare] + f.n[serving] }

// holdBack plans when a failed start is made good.
func (f *fleet) holdBack(number int, now int64, err error) {
	f.lapse(now)
	delay := f.restarts.failed(number, f.numbers, err)
	f.heldBack++
	if f.retryAt == 0 {
		f.retryAt = now + int64(delay)
	}
}

// lapse ends the wait after failed starts when its time has come.
func (f *fleet) lapse(now int64) {
	if reached(f.retryAt, now) {
		f.heldBack, f.retryAt, f.stale = 0, 0, true
	}
}

func (f *fleet) index(number int) (i int, found bool) {
	return slices.BinarySearchFunc(f.members, number, func(m *member, number int) int {
		return cmp.Compare(m.number, number)
	})
}

func (f *fleet) find(number int) *member {
	if i, ok := f.index(number); ok {
		return f.members[i]
	}
	return nil
}

func (f *fleet) remove(number int) *member {
	i, ok := f.index(number)
	if !ok {
		return nil
	}
	m := f.members[i]
	f.members = slices.Delete(f.members, i, i+1)
	f.n[m.state]--
	f.stale = true
	return m
}

func (f *fleet) move(m *member, to memberState) {
	f.n[m.state]--
	m.state = to
	f.n[to]++
	f.stale = true
}

// reached reports whether a time has come; 0 never does.
func reached(at, now int64) bool { return at != 0 && now >= at }
