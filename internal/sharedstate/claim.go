package sharedstate

import (
	"container/list"
	"context"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// state is how far a claim has come.
type state uint8

const (
	waits state = iota // for what it wants
	holds              // what it was granted
	over
)

// release is why something is given back.
type release uint8

const (
	unlocked  release = iota // by the one who held it; of an item, that it is done
	returned                 // an item that is not done
	unseen                   // by one who never got it
	abandoned                // by the end of the call that held it
)

// A claim is an operation that waits, and then what it was granted, if it was granted
// anything that is to be given back.
type claim struct {
	name, kind string // of the object
	object     object
	holder     *holder
	ticket     uint64 // 0 for an operation that is granted nothing
	state      state
	mine       *list.Element // among the holder's
	line       *list.List    // those that wait for the same of the object
	place      *list.Element // in that line

	count int      // permits that it wants or has
	puts  [][]byte // items that it is to put, all at once
	most  int      // items that it wants at the most, 0 for just one
	item  *item    // that it has got
	told  bool     // that what it was granted had been abandoned

	// While it waits.
	call    *procpool.Call
	waited  bool
	unwatch func() bool // the caller's context
	timer   *time.Timer // has its slot lent
	back    func()      // takes the slot back that was lent
	goes    func()      // is told when it is over
}

// queueUp puts a claim at the end of a line.
func (cl *claim) queueUp(line *list.List) { cl.line, cl.place = line, line.PushBack(cl) }

// stepOut takes a claim out of the line in which it stands, if it stands in one.
func (cl *claim) stepOut() {
	if cl.place != nil {
		cl.line.Remove(cl.place)
		cl.line, cl.place = nil, nil
	}
}

// first returns the first claim in a line, nil where there is none.
func first(line *list.List) *claim {
	if line.Len() == 0 {
		return nil
	}
	return line.Front().Value.(*claim) //nolint:errcheck // it holds nothing else
}

// A holder is who makes operations: a call, or the program.
type holder struct {
	owner   Owner
	tickets map[uint64]*claim
	claims  list.List // in the order in which they came
}

// all returns what the holder holds and waits for.
func (h *holder) all() []*claim {
	claims := make([]*claim, 0, h.claims.Len())
	for e := h.claims.Front(); e != nil; e = e.Next() {
		claims = append(claims, e.Value.(*claim)) //nolint:errcheck // it holds nothing else
	}
	return claims
}

// isCall reports whether it is a call of a task, which ends.
func (h *holder) isCall() bool { return h.owner != Owner{} }

// claimLocked makes a claim for an operation.
func (r *Registry) claimLocked(op *operation, o Owner) (*claim, error) {
	h := r.holders[o]
	if h == nil {
		h = &holder{owner: o, tickets: make(map[uint64]*claim)}
	}
	switch {
	case h.tickets[op.args.Ticket] != nil:
		return nil, op.failure(sharedop.CodeInvalid, "its ticket names something else that the same call holds or waits for")
	case h.isCall() && h.claims.Len() >= maxClaims:
		return nil, op.failure(sharedop.CodeLimit, fmt.Sprintf("the call that makes it holds and waits for %d things already, as many as it may", maxClaims))
	}
	if h.claims.Len() == 0 {
		r.holders[o] = h
		if h.isCall() {
			r.calls.Add(1)
		}
	}
	cl := &claim{name: op.args.Name, kind: op.kind, holder: h, ticket: op.args.Ticket, call: op.call, count: op.args.Count}
	h.add(cl)
	return cl, nil
}

// add takes note of a claim.
func (h *holder) add(cl *claim) {
	cl.mine = h.claims.PushBack(cl)
	if cl.ticket != 0 {
		h.tickets[cl.ticket] = cl
	}
}

// room returns for how many tickets, from that of a claim on, the holder may have
// something: up to one that is in use, and up to what a call may have.
func (h *holder) room(cl *claim, wanted int) int {
	if h.isCall() {
		wanted = min(wanted, 1+maxClaims-h.claims.Len())
	}
	for i := 1; i < wanted; i++ {
		if h.tickets[cl.ticket+uint64(i)] != nil {
			return i
		}
	}
	return wanted
}

// forgetLocked says that a claim is over.
func (r *Registry) forgetLocked(cl *claim) {
	if cl.mine == nil {
		return
	}
	h := cl.holder
	cl.stepOut()
	h.claims.Remove(cl.mine)
	cl.mine = nil
	cl.state = over
	if cl.ticket != 0 {
		delete(h.tickets, cl.ticket)
	}
	if h.claims.Len() == 0 {
		delete(r.holders, h.owner)
		if h.isCall() {
			r.calls.Add(-1)
		}
	}
}

// waitLocked has an operation wait.
func (r *Registry) waitLocked(ctx context.Context, cl *claim, hooks Hooks) error {
	if cl.holder.isCall() {
		if r.waiting >= r.most {
			return procpool.NestingError(cl.call.Task(), fmt.Sprintf("%d operations of tasks on shared state wait already, and Config.NestedCalls is %d", r.waiting, r.most))
		}
		r.waiting++
	}
	c := cl.call
	c.Slot.Owner, cl.waited = cl, true
	if ctx.Done() != nil {
		cl.unwatch = context.AfterFunc(ctx, func() { r.giveUp(c, procpool.CancelError(ctx, c)) })
	}
	if hooks.Lend != nil {
		cl.timer = time.AfterFunc(lendAfter, func() { r.mayLend(cl, hooks) })
	}
	if hooks.Waits != nil {
		cl.goes = hooks.Waits()
	}
	return nil
}

// mayLend lends the slot of a call that has waited for a moment, unless others go on.
// Then it has some more patience.
func (r *Registry) mayLend(cl *claim, hooks Hooks) {
	if hooks.Stuck == nil || hooks.Stuck(r.idlers()) {
		r.lendSlot(cl, hooks.Lend)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if cl.timer != nil {
		cl.timer = time.AfterFunc(lendAnyway-lendAfter, func() { r.lendSlot(cl, hooks.Lend) })
	}
}

// idlers returns how many calls wait that have a slot to lend, and have not lent it.
func (r *Registry) idlers() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.holders {
		idles := false
		for e := h.claims.Front(); e != nil; e = e.Next() {
			cl := e.Value.(*claim) //nolint:errcheck // it holds nothing else
			idles = idles || cl.timer != nil
			if cl.back != nil {
				idles = false
				break
			}
		}
		if idles {
			n++
		}
	}
	return n
}

// lendSlot lends the slot of a call that has waited for some time.
func (r *Registry) lendSlot(cl *claim, lend func() (back func())) {
	back := lend()
	if back == nil {
		return // there is none, or no lane in which another call could run: it waits all the same
	}
	r.mu.Lock()
	if cl.call != nil {
		cl.back, back = back, nil
	}
	r.mu.Unlock()
	if back != nil { // its wait is over already
		back()
	}
}

// settleLocked gives a claim's call its outcome, and ends its wait if it has waited.
// It reports false when the call had one already: it was given up.
func (r *Registry) settleLocked(cl *claim, reply []byte, err error) bool {
	c := cl.call
	cl.call = nil
	if cl.waited {
		r.wakeLocked(cl)
	}
	return c.Finish(reply, err)
}

func (r *Registry) wakeLocked(cl *claim) {
	cl.waited = false
	if cl.holder.isCall() {
		r.waiting--
	}
	if cl.unwatch != nil {
		cl.unwatch()
	}
	if cl.timer != nil {
		cl.timer.Stop()
	}
	for _, call := range []func(){cl.back, cl.goes} {
		if call != nil {
			r.later = append(r.later, call)
		}
	}
	cl.unwatch, cl.timer, cl.back, cl.goes = nil, nil, nil, nil
}

// grantLocked settles a claim with what it was granted. It reports false when nobody
// takes it.
func (r *Registry) grantLocked(cl *claim, reply sharedop.Reply) bool {
	reply.Loose = cl.ticket != 0 && !cl.holder.isCall()
	if !r.settleLocked(cl, encode(reply), nil) {
		r.forgetLocked(cl)
		return false
	}
	if cl.ticket == 0 {
		r.forgetLocked(cl)
		return true
	}
	cl.state = holds
	return true
}

// refuseLocked settles a claim with an error.
func (r *Registry) refuseLocked(cl *claim, err error) {
	r.settleLocked(cl, nil, err)
	r.forgetLocked(cl)
}

// giveUp ends the wait of an operation, with err unless it has its outcome.
func (r *Registry) giveUp(c *procpool.Call, err error) {
	r.mu.Lock()
	defer r.unlock()
	cl, ok := c.Slot.Owner.(*claim)
	if !ok || cl.call != c {
		return
	}
	r.refuseLocked(cl, err)
	cl.object.serve(r)
}
