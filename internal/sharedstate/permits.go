package sharedstate

import (
	"container/list"

	"github.com/procpool/procpool/internal/sharedop"
)

// permits is a semaphore, and a mutex as one of a single permit. Who comes first is
// served first: a large request is not overtaken by small ones behind it.
type permits struct {
	is        definition
	free      int
	abandoned bool // the last that came back were not given back; the next is told
	line      list.List
}

func (p *permits) definition() definition { return p.is }

func (p *permits) do(*Registry, *operation) bool { return false }

func (p *permits) begin(r *Registry, cl *claim, _ *operation) {
	cl.queueUp(&p.line)
	p.serve(r)
}

func (p *permits) release(_ *Registry, cl *claim, how release) {
	p.free += cl.count
	p.abandoned = p.abandoned || how == abandoned || how == unseen && cl.told
}

// serve grants what is free to those who are first.
func (p *permits) serve(r *Registry) {
	for cl := first(&p.line); cl != nil && cl.count <= p.free; cl = first(&p.line) {
		cl.stepOut()
		if r.grantLocked(cl, sharedop.Reply{Abandoned: p.abandoned}) {
			p.free -= cl.count
			cl.told, p.abandoned = p.abandoned, false
		}
	}
}
