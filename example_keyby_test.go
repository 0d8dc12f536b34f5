package procpool_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Deposit is money for an account.
type Deposit struct {
	Account string
	Amount  int
}

// balances is what a worker keeps in memory.
var balances = struct {
	sync.Mutex
	of map[string]int
}{of: make(map[string]int)}

// Book has all deposits of an account booked by the same worker, in their order.
var Book = procpool.Define("book", func(_ context.Context, d Deposit) (int, error) {
	balances.Lock()
	defer balances.Unlock()
	balances.of[d.Account] += d.Amount
	return balances.of[d.Account], nil
}).KeyBy(func(d Deposit) string { return d.Account })

func ExampleFunc_KeyBy() {
	ctx := context.Background()
	pool := procpooltest.Inline(Book)

	deposits := []Deposit{{"ada", 5}, {"grace", 10}, {"ada", 2}, {"ada", 1}, {"grace", 4}}
	for balance, err := range Book.Map(ctx, pool, slices.Values(deposits)) {
		fmt.Println(balance, err)
	}
	// Output:
	// 5 <nil>
	// 10 <nil>
	// 7 <nil>
	// 8 <nil>
	// 14 <nil>
}
