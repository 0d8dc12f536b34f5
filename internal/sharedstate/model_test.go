package sharedstate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
	"github.com/procpool/procpool/internal/sharedstate"
)

const (
	modelPermits    = 3
	modelCapacity   = 3
	modelDeliveries = 2
)

// attempted is one operation of the model, and what must have become of it.
type attempted struct {
	name   string
	args   sharedop.Args
	owner  sharedstate.Owner
	future *procpool.Future[sharedop.Reply]

	waits, holds bool // neither: it is over
	told         bool // that what it was granted had been abandoned
	item         *piece
	want         string       // the outcome
	batch        []*attempted // those that hold what was granted together with this; but the first have no future
}

// piece is an item of the model's queue.
type piece struct {
	value      string
	deliveries int
	where      string // queued, taken, done, dead
}

// model is the registry, done the slow and plain way: everything is looked up among
// all operations there ever were.
type model struct {
	r         *sharedstate.Registry
	ops       []*attempted // in the order in which they were made
	pieces    []*piece     // in the order in which they were put
	abandoned map[string]bool
	closed    bool // the queue
	total     int64
	ticket    uint64
	seqs      map[int]uint64 // of the calls that run in each worker
}

func (m *model) queued() (n int) {
	for _, p := range m.pieces {
		if p.where == "queued" {
			n++
		}
	}
	return n
}

func (m *model) unfinished() (n int) {
	for _, p := range m.pieces {
		if p.where == "queued" || p.where == "taken" {
			n++
		}
	}
	return n
}

// firstWaiting returns the one that has waited longest for an operation of that name.
func (m *model) firstWaiting(name string) *attempted {
	for _, a := range m.ops {
		if a.waits && a.name == name {
			return a
		}
	}
	return nil
}

// settle does all that is possible now.
func (m *model) settle() {
	for m.step() {
	}
}

func (m *model) step() bool {
	for object, size := range map[string]int{"mutex.lock": 1, "semaphore.acquire": modelPermits} {
		free := size
		for _, a := range m.ops {
			if a.name == object && a.holds {
				free -= max(a.args.Count, 1)
			}
		}
		if a := m.firstWaiting(object); a != nil && max(a.args.Count, 1) <= free {
			a.told = m.abandoned[object]
			m.abandoned[object] = false
			m.grant(a, fmt.Sprintf("abandoned=%v", a.told))
			return true
		}
	}
	if a := m.firstWaiting("queue.put"); a != nil && !m.closed && m.queued()+max(len(a.args.Values), 1) <= modelCapacity {
		values := a.args.Values
		if len(values) == 0 {
			values = [][]byte{a.args.Value}
		}
		for _, value := range values {
			m.pieces = append(m.pieces, &piece{value: string(value), where: "queued"})
		}
		m.over(a, "ok")
		return true
	}
	if a := m.firstWaiting("queue.get"); a != nil && m.queued() > 0 {
		m.deliver(a)
		return true
	}
	if a := m.firstWaiting("queue.put"); a != nil && m.closed {
		m.over(a, sharedop.CodeQueueClosed)
		return true
	}
	if m.unfinished() > 0 {
		return false
	}
	if a := m.firstWaiting("queue.get"); a != nil && m.closed {
		m.over(a, sharedop.CodeQueueClosed)
		return true
	}
	if a := m.firstWaiting("queue.join"); a != nil {
		m.over(a, "ok")
		return true
	}
	return false
}

// deliver gives the first items to one who wants some.
func (m *model) deliver(a *attempted) {
	var want []string
	for _, p := range m.pieces {
		if p.where != "queued" || len(want) == max(a.args.Most, 1) {
			continue
		}
		p.where = "taken"
		p.deliveries++
		holder := a
		if len(want) > 0 {
			holder = &attempted{name: a.name, args: a.args, owner: a.owner}
			holder.args.Ticket += uint64(len(want))
			m.ops = append(m.ops, holder)
		}
		holder.item = p
		want = append(want, fmt.Sprintf("%s delivery=%d", p.value, p.deliveries))
		m.grant(holder, strings.Join(want, ", "))
		a.batch = append(a.batch, holder)
	}
	for _, holder := range a.batch {
		holder.batch = a.batch
	}
	a.want = strings.Join(want, ", ")
}

func (m *model) grant(a *attempted, want string) { a.waits, a.holds, a.want = false, true, want }

func (m *model) over(a *attempted, want string) { a.waits, a.holds, a.want = false, false, want }

// takeBack says that what a holds is given back.
func (m *model) takeBack(a *attempted, how string) {
	a.holds = false
	if p := a.item; p != nil {
		if how == "unseen" {
			p.deliveries--
		}
		switch {
		case how == "done":
			p.where = "done"
		case p.deliveries >= modelDeliveries:
			p.where = "dead"
		default:
			p.where = "queued"
		}
	} else if how == "abandoned" || how == "unseen" && a.told {
		m.abandoned[a.name] = true
	}
}

// end says that calls have ended, all at once.
func (m *model) end(ended func(sharedstate.Owner) bool) {
	for _, a := range m.ops {
		if a.waits && ended(a.owner) {
			m.over(a, "nesting")
		}
	}
	for _, a := range m.ops {
		if a.holds && ended(a.owner) {
			m.takeBack(a, "abandoned")
		}
	}
}

// start makes an operation.
func (m *model) start(a *attempted) {
	a.future = caller{r: m.r, owner: a.owner}.start(context.Background(), a.name, a.args)
	m.ops = append(m.ops, a)
}

// look compares.
func (m *model) look(t *rapid.T) {
	for i, a := range m.ops {
		if a.future == nil {
			continue
		}
		got := "waits"
		if a.future.State() == procpool.Done {
			reply, err := a.future.Result(context.Background())
			switch {
			case errors.Is(err, procpool.ErrNestingLimit):
				got = "nesting"
			case errors.Is(err, context.Canceled):
				got = "given up"
			case errors.Is(err, procpool.ErrClosed):
				got = "closed"
			case err != nil:
				got = codeOf(err)
			case a.name == "queue.get" && a.args.Most > 0:
				var items []string
				for _, it := range reply.Items {
					items = append(items, fmt.Sprintf("%s delivery=%d", it.Value, it.Delivery))
				}
				got = strings.Join(items, ", ")
			case a.name == "queue.get":
				got = fmt.Sprintf("%s delivery=%d", reply.Value, reply.Delivery)
			case a.name == "counter.add":
				got = fmt.Sprint(reply.Total)
			case a.name == "mutex.lock" || a.name == "semaphore.acquire":
				got = fmt.Sprintf("abandoned=%v", reply.Abandoned)
			default:
				got = "ok"
			}
		}
		want := a.want
		if a.waits {
			want = "waits"
		}
		if got != want {
			t.Fatalf("operation %d, %s by %v: %s, want %s", i, a.name, a.owner, got, want)
		}
	}
	busy := slices.ContainsFunc(m.ops, func(a *attempted) bool {
		return (a.waits || a.holds) && a.owner != sharedstate.Owner{}
	})
	if m.r.Busy() != busy {
		t.Fatalf("the registry says that calls hold or wait for something: %v, want %v", !busy, busy)
	}
}

// drawOwner chooses the program or one of the calls that run.
func (m *model) drawOwner(t *rapid.T) sharedstate.Owner {
	worker := rapid.IntRange(0, 3).Draw(t, "worker")
	if worker == 0 {
		return sharedstate.Owner{}
	}
	lane := rapid.IntRange(0, 1).Draw(t, "lane")
	return sharedstate.Owner{Worker: worker, Lane: uint32(lane), Seq: m.seqs[worker*2+lane]}
}

// drawOp chooses one of the operations that are as asked for.
func (m *model) drawOp(t *rapid.T, which func(*attempted) bool) *attempted {
	var there []*attempted
	for _, a := range m.ops {
		if which(a) {
			there = append(there, a)
		}
	}
	if len(there) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(there).Draw(t, "operation")
}

func grants(name string) bool {
	return name == "mutex.lock" || name == "semaphore.acquire" || name == "queue.get"
}

func (m *model) begin(t *rapid.T) {
	a := &attempted{owner: m.drawOwner(t), waits: true}
	a.name = rapid.SampledFrom([]string{"mutex.lock", "semaphore.acquire", "queue.put", "queue.get", "queue.join"}).Draw(t, "name")
	kind, _, _ := strings.Cut(a.name, ".")
	a.args.Name = kind
	m.ticket += 10 // of which each item of a batch has one
	if grants(a.name) {
		a.args.Ticket = m.ticket
	}
	switch a.name {
	case "semaphore.acquire":
		a.args.Size, a.args.Count = modelPermits, rapid.IntRange(1, modelPermits).Draw(t, "count")
	case "queue.put", "queue.get", "queue.join":
		a.args.Size, a.args.Deliveries = modelCapacity, modelDeliveries
		a.args.Value = fmt.Append(nil, "item ", m.ticket)
	}
	several := rapid.IntRange(0, modelCapacity).Draw(t, "several")
	switch {
	case a.name == "queue.get":
		a.args.Most = several
	case a.name == "queue.put" && several > 0:
		for i := range several {
			a.args.Values = append(a.args.Values, fmt.Append(nil, "item ", m.ticket, ".", i))
		}
		a.args.Value = nil
	}
	m.start(a)
	m.settle()
}

// giveBack gives something back, or gives up waiting for it by the same means.
func (m *model) giveBack(t *rapid.T) {
	of := m.drawOp(t, func(a *attempted) bool { return (a.holds || a.waits) && grants(a.name) })
	back := &attempted{owner: of.owner, args: sharedop.Args{Name: of.args.Name, Ticket: of.args.Ticket}, want: "ok"}
	how := "unlocked"
	switch of.name {
	case "mutex.lock":
		back.name = "mutex.unlock"
	case "semaphore.acquire":
		back.name = "semaphore.release"
	default:
		back.name, how = "queue.done", "done"
		if rapid.Bool().Draw(t, "return") {
			back.name, how = "queue.return", "returned"
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "unseen") == 0 {
		back.args.Unseen, how = true, "unseen"
	}
	all := []*attempted{of}
	if back.name == "queue.return" && of.args.Most > 0 && rapid.Bool().Draw(t, "all of it") {
		back.args.Most = of.args.Most
		if len(of.batch) > 0 {
			all, back.args.Ticket = of.batch, of.batch[0].args.Ticket
		}
	}
	for _, of := range all {
		switch {
		case of.waits:
			m.over(of, "given up")
		case of.holds:
			m.takeBack(of, how)
		}
	}
	m.start(back)
	m.settle()
}

// doneAll says of all items of an owner that they are done, and perhaps of another that
// it has not got, when none of them is.
func (m *model) doneAll(t *rapid.T) {
	of := m.drawOp(t, func(a *attempted) bool { return a.holds && a.name == "queue.get" })
	done := &attempted{name: "queue.done", owner: of.owner, args: sharedop.Args{Name: of.args.Name}, want: "ok"}
	if rapid.Bool().Draw(t, "one too many") {
		done.args.Tickets, done.want = []uint64{1}, sharedop.CodeNotHeld
	}
	for _, a := range m.ops {
		if a.holds && a.name == of.name && a.owner == of.owner {
			done.args.Tickets = append(done.args.Tickets, a.args.Ticket)
			if done.want == "ok" {
				m.takeBack(a, "done")
			}
		}
	}
	m.start(done)
	m.settle()
}

// giveBackWhatIsNotHeld is refused.
func (m *model) giveBackWhatIsNotHeld(t *rapid.T) {
	of := m.drawOp(t, func(a *attempted) bool { return grants(a.name) })
	back := &attempted{owner: m.drawOwner(t), args: sharedop.Args{Name: of.args.Name, Ticket: of.args.Ticket}, want: sharedop.CodeNotHeld}
	if (of.holds || of.waits) && back.owner == of.owner {
		t.Skip("it is held")
	}
	back.name = map[string]string{"mutex": "mutex.unlock", "semaphore": "semaphore.release", "queue": "queue.done"}[of.args.Name]
	m.start(back)
	m.settle()
}

func (m *model) cancel(t *rapid.T) {
	a := m.drawOp(t, func(a *attempted) bool { return a.waits })
	a.future.Cancel()
	m.over(a, "given up")
	m.settle()
}

func (m *model) add(t *rapid.T) {
	delta := rapid.Int64Range(-5, 5).Draw(t, "delta")
	m.total += delta
	m.start(&attempted{name: "counter.add", owner: m.drawOwner(t), args: sharedop.Args{Name: "counter", Delta: delta}, want: fmt.Sprint(m.total)})
}

func (m *model) endCall(t *rapid.T) {
	o := m.drawOwner(t)
	if o.Worker == 0 {
		t.Skip("the program does not end")
	}
	m.r.EndCall(o)
	m.seqs[o.Worker*2+int(o.Lane)]++
	m.end(func(other sharedstate.Owner) bool { return other == o })
	m.settle()
}

func (m *model) endWorker(t *rapid.T) {
	o := m.drawOwner(t)
	if o.Worker == 0 {
		t.Skip("the program does not end")
	}
	m.r.EndWorker(o.Worker)
	m.seqs[o.Worker*2]++
	m.seqs[o.Worker*2+1]++
	m.end(func(other sharedstate.Owner) bool { return other.Worker == o.Worker })
	m.settle()
}

func (m *model) closeQueue(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		t.Skip("not yet")
	}
	args := sharedop.Args{Name: "queue", Size: modelCapacity, Deliveries: modelDeliveries}
	m.closed = true
	m.start(&attempted{name: "queue.close", owner: m.drawOwner(t), args: args, want: "ok"})
	m.settle()
}

// deadLetters compares what there is, and takes it out.
func (m *model) deadLetters(t *rapid.T) {
	args := sharedop.Args{Name: "queue", Size: modelCapacity, Deliveries: modelDeliveries}
	program := caller{r: m.r}
	info, err := program.start(context.Background(), "queue.info", args).Result(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	reply, err := program.start(context.Background(), "queue.dead", args).Result(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, letter := range reply.Letters {
		got = append(got, fmt.Sprint(string(letter.Value), letter.Deliveries))
	}
	for _, p := range m.pieces {
		if p.where == "dead" {
			want = append(want, fmt.Sprint(p.value, p.deliveries))
			p.where = "taken out"
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("dead letters %q, want %q", got, want)
	}
	if info.Queued != m.queued() || info.Taken != m.unfinished()-m.queued() || info.Dead != len(want) || info.Closed != m.closed {
		t.Fatalf("%+v: want %d queued, %d unfinished, %d dead", info, m.queued(), m.unfinished(), len(want))
	}
}

// Whatever is held, waited for, given back and given up, and whoever dies in between,
// each operation has the outcome that it has in a model which looks at all of them at
// every step: nobody is forgotten, overtaken or served twice.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{r: sharedstate.New(1 << 10), abandoned: map[string]bool{}, seqs: map[int]uint64{}}
		t.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "begin2": m.begin, "begin3": m.begin, "give back": m.giveBack, "give back2": m.giveBack, "done all": m.doneAll,
			"not held": m.giveBackWhatIsNotHeld, "cancel": m.cancel, "add": m.add, "end call": m.endCall,
			"end worker": m.endWorker, "close": m.closeQueue, "dead": m.deadLetters, "": m.look,
		})
		m.r.Close()
		for _, a := range m.ops {
			if a.waits {
				m.over(a, "closed")
			}
			a.holds = false
		}
		m.look(t)
	})
}
