package shared_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

// Parcel is what the queue below holds.
type Parcel struct {
	To     string
	Weight int
}

// Parcels holds 10 of them at a time, and delivers each twice at the most.
var Parcels = shared.DefineQueue[Parcel]("parcels", 10, shared.Deliveries(2))

// Carry carries parcels until there are no more.
var Carry = procpool.Define("carry", func(ctx context.Context, strength int) (carried []string, err error) {
	for item, err := range Parcels.All(ctx, procpool.ExecutorFrom(ctx)) {
		if err != nil {
			return carried, err
		}
		if item.Value.Weight > strength {
			item.Return() // for another one; what dies with an item returns it, too
			continue
		}
		carried = append(carried, item.Value.To)
		if err := item.Done(ctx); err != nil {
			return carried, err
		}
	}
	return carried, nil
})

func ExampleQueue() {
	ctx := context.Background()
	pool := procpooltest.Inline(Carry)

	for _, p := range []Parcel{{"Ada", 3}, {"Bob", 70}, {"Cem", 5}} {
		if err := Parcels.Put(ctx, pool, p); err != nil {
			fmt.Println(err)
		}
	}
	if err := Parcels.Close(ctx, pool); err != nil {
		fmt.Println(err)
	}
	fmt.Println(Carry.Call(ctx, pool, 20))
	fmt.Println(Parcels.Join(ctx, pool)) // each is done, or given up
	letters, err := Parcels.DeadLetters(ctx, pool)
	for _, l := range letters {
		fmt.Printf("%s's parcel was not carried in %d deliveries\n", l.Value.To, l.Deliveries)
	}
	fmt.Println(err)
	// Output:
	// [Ada Cem] <nil>
	// <nil>
	// Bob's parcel was not carried in 2 deliveries
	// <nil>
}
