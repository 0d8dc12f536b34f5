package shared_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

// Ledger guards something that only one may touch at a time: here a slice, in a pool
// of processes a file.
var Ledger = shared.DefineMutex("ledger")

var entries []string

var Enter = procpool.Define("enter", func(ctx context.Context, entry string) (int, error) {
	held, err := Ledger.Lock(ctx, procpool.ExecutorFrom(ctx))
	if err != nil {
		return 0, err
	}
	if entry == "forget" {
		return 0, nil // without Unlock
	}
	defer held.Unlock()
	if held.Abandoned() {
		entries = append(entries, "(somebody left without unlocking)")
	}
	entries = append(entries, entry)
	return len(entries), nil
})

func ExampleMutex() {
	ctx := context.Background()
	pool := procpooltest.Inline(Enter)

	for _, entry := range []string{"bread", "forget", "milk"} {
		if _, err := Enter.Call(ctx, pool, entry); err != nil {
			fmt.Println(err)
		}
	}
	// The program locks it as the tasks do.
	err := Ledger.Do(ctx, pool, func(context.Context) error {
		fmt.Println(entries)
		_, err := Ledger.TryLock(ctx, pool)
		return err
	})
	fmt.Println(errors.Is(err, shared.ErrWouldBlock))
	// Output:
	// [bread (somebody left without unlocking) milk]
	// true
}

// Licences bounds how many use something at a time, in the whole pool.
var Licences = shared.DefineSemaphore("licences", 2)

func ExampleSemaphore() {
	ctx := context.Background()
	pool := procpooltest.Inline()

	one, err := Licences.Acquire(ctx, pool, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = Licences.TryAcquire(ctx, pool, 2)
	fmt.Println(err)
	one.Release()
	both, err := Licences.TryAcquire(ctx, pool, 2)
	fmt.Println(err)
	both.Release()
	// Output:
	// procpool: semaphore "licences": it would have to wait
	// <nil>
}

// Seen counts in all processes of a pool.
var Seen = shared.DefineCounter("seen")

func ExampleCounter() {
	ctx := context.Background()
	look := procpool.Define("look", func(ctx context.Context, n int64) (int64, error) {
		return Seen.Add(ctx, procpool.ExecutorFrom(ctx), n)
	})
	pool := procpooltest.Inline(look)

	for _, n := range []int64{2, 3} {
		if _, err := look.Call(ctx, pool, n); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(Seen.Value(ctx, pool))
	// Output: 5 <nil>
}
