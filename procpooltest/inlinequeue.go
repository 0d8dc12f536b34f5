package procpooltest

import (
	"cmp"
	"slices"
	"time"
)

// placeLocked starts r, or has it wait for a place in its order.
func (ex *inline) placeLocked(r *inlineCall) {
	if r.placeless {
		go r.run()
		return
	}
	if ex.running < concurrency {
		ex.running++
		go r.run()
		return
	}
	i, _ := slices.BinarySearchFunc(ex.waiting, r, func(a, b *inlineCall) int {
		return cmp.Or(cmp.Compare(b.call.Priority(), a.call.Priority()), cmp.Compare(a.number, b.number))
	})
	ex.waiting = slices.Insert(ex.waiting, i, r)
}

// leaveLocked says that r has left its place, and gives the place to the next.
func (ex *inline) leaveLocked(r *inlineCall) {
	if r.placeless {
		return
	}
	if len(ex.waiting) == 0 || ex.running > concurrency {
		ex.running-- // more may run than that, where places were lent
		return
	}
	next := ex.waiting[0]
	ex.waiting[0] = nil
	ex.waiting = ex.waiting[1:]
	go next.run()
}

// over says that nothing of r will run any more.
func (ex *inline) over(r *inlineCall) {
	r.unwatch()
	if r.leave != nil {
		r.leave()
	}
	r.cancel()
	if r.actor != nil {
		r.actor.leaves(r)
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if r.key != "" {
		if behind := ex.keys[r.key]; len(behind) > 0 {
			ex.keys[r.key] = behind[1:]
			ex.placeLocked(behind[0])
		} else {
			delete(ex.keys, r.key)
		}
	}
	ex.leaveLocked(r)
}

// again gives up r's place, and places it anew after a wait.
func (ex *inline) again(r *inlineCall, wait time.Duration) {
	ex.mu.Lock()
	ex.leaveLocked(r)
	ex.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.placeLocked(r) // given up or not: run ends it
}
