package rawhost

import workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"

// Ledger is a ledger without a worker.
type Ledger struct{ ledger }

// NewLedger returns the ledger of a host and a worker that have said this.
func NewLedger(r *workerv1.HelloRequest, hello *workerv1.HelloResponse) *Ledger {
	l := new(Ledger)
	l.begin(r, hello)
	return l
}

// Sent enters what the host has sent, Cancelled that it has given a call up, Fenced a
// fence.
func (l *Ledger) Sent(r *workerv1.WorkRequest) { l.sent(r) }

// Cancelled enters a Cancel.
func (l *Ledger) Cancelled(lane uint32, seq uint64) { l.given[callKey{lane, seq}] = true }

// Fenced enters a fence.
func (l *Ledger) Fenced(lane uint32, k uint64) { l.of(lane).lowestFence = k }

// Check checks a message of the worker's.
func (l *Ledger) Check(r *workerv1.WorkResponse) error { return l.check(r) }
