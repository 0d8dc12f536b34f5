package executor

// RefuseActors has the pool's actors take no calls but those of tasks, as Shutdown does
// first.
func (p *Pool) RefuseActors() { p.core.actors.refuse() }
