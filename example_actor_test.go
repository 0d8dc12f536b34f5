package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// account is the state of an actor.
type account struct{ balance int }

// Pay changes it and returns what there is then.
func (a *account) Pay(_ context.Context, amount int) (int, error) {
	if a.balance+amount < 0 {
		return a.balance, fmt.Errorf("%d is not there to be paid", -amount)
	}
	a.balance += amount
	return a.balance, nil
}

// Account is a kind of actor, and Pay its only method.
var (
	Account = procpool.DefineActor("account", func(_ context.Context, balance int) (*account, error) {
		return &account{balance: balance}, nil
	})
	Pay = procpool.DefineMethod(Account, "pay", (*account).Pay)
)

// transfer pays from one account to the other: a Ref can be passed to tasks.
var transfer = procpool.Define("transfer", func(ctx context.Context, refs [2]*procpool.Ref) (int, error) {
	if _, err := Pay.Call(ctx, refs[0], -10); err != nil {
		return 0, err
	}
	return Pay.Call(ctx, refs[1], 10)
})

func ExampleDefineActor() {
	ctx := context.Background()
	pool := procpooltest.Inline(Account, transfer)

	// The state stays in the actor, which in a pool has a process of its own.
	mine, err := Account.Spawn(ctx, pool, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mine.Close()
	fmt.Println(Pay.Call(ctx, mine, 20))
	_, err = Pay.Call(ctx, mine, -1000)
	fmt.Println(err)

	yours, err := Account.Spawn(ctx, pool, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer yours.Close()
	fmt.Println(transfer.Call(ctx, pool, [2]*procpool.Ref{mine, yours}))
	fmt.Println(Pay.Call(ctx, mine, 0))
	// Output:
	// 120 <nil>
	// procpool: task "account.pay" failed: 1000 is not there to be paid
	// 10 <nil>
	// 110 <nil>
}
