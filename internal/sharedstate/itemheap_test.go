package sharedstate_test

import (
	"testing"
	"time"

	"github.com/procpool/procpool/internal/sharedop"
	"github.com/procpool/procpool/internal/sharedstate"
)

// What comes back costs no more the more there is that has come back before. Else what is
// done here would take minutes.
func TestManyItemsComeBack(t *testing.T) {
	t.Parallel()
	const (
		batch   = sharedop.MaxBatch
		batches = 8
	)
	r := sharedstate.New(10)
	program := caller{r: r}
	args := sharedop.Args{Name: "q", Size: batch * batches, Deliveries: 10}
	put, get := args, args
	put.Values, get.Most = make([][]byte, batch), batch
	for range batches {
		program.must(t, "queue.put", put)
	}
	deadline := time.Now().Add(30 * time.Second)
	for round := 1; round <= 2; round++ {
		for i := range uint64(batches) {
			get.Ticket = 1 + i*batch
			reply := program.must(t, "queue.get", get)
			if len(reply.Items) != batch || reply.Items[0].Delivery != round {
				t.Fatalf("batch %d in round %d: %d items, the first delivered %d times", i, round, len(reply.Items), reply.Items[0].Delivery)
			}
		}
		for i := range uint64(batches) {
			program.must(t, "queue.return", sharedop.Args{Name: "q", Ticket: 1 + i*batch, Most: batch})
			if time.Now().After(deadline) {
				t.Fatalf("%d batches have come back in half a minute", i)
			}
		}
	}
	if info := program.must(t, "queue.info", args); info.Queued != batch*batches || info.Taken != 0 {
		t.Errorf("%+v", info)
	}
}
