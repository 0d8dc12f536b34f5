package executor

import "github.com/procpool/procpool"

// maxEnds is of how many actors that have ended it is remembered why.
const maxEnds = 1 << 10

// actorEnds remembers the actors that ended last, for those who know them by their number
// only: a task that comes too late is told why there is no such actor any more.
type actorEnds struct {
	by   map[uint64]actorEnd
	last [maxEnds]uint64 // their numbers, a ring
	next int
}

type actorEnd struct {
	actor string
	why   error
}

// add takes note of an actor that has ended.
func (e *actorEnds) add(i *procpool.Instance) {
	if e.by == nil {
		e.by = make(map[uint64]actorEnd)
	}
	delete(e.by, e.last[e.next])
	e.by[i.Number()], e.last[e.next] = actorEnd{i.Actor(), i.Err()}, i.Number()
	e.next = (e.next + 1) % maxEnds
}

// of returns the error for calls of an actor that is no more.
func (e *actorEnds) of(i *procpool.Instance) error {
	if end, known := e.by[i.Number()]; known && end.actor == i.Actor() {
		return end.why
	}
	return procpool.ActorEndedError(i.Actor(), errNoActor)
}
