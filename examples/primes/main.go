// Primes reads prime numbers from a stream that has no end, up to a limit, and
// leaves it. The worker is free then and begins another.
package main

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

const limit = 1_000_000

// Primes yields the prime numbers, without end: emit waits while the reader is
// behind, and fails when it has left.
var Primes = procpool.DefineStream("primes", func(_ context.Context, from int, emit func(int) error) error {
	var found []int // those up to the square root of n and some more
	for n := 2; ; n++ {
		if !isPrime(n, found) {
			continue
		}
		found = append(found, n)
		if n < from {
			continue
		}
		if err := emit(n); err != nil {
			return err
		}
	}
})

func isPrime(n int, smaller []int) bool {
	for _, p := range smaller {
		if p*p > n {
			break
		}
		if n%p == 0 {
			return false
		}
	}
	return true
}

func main() {
	workerproc.Init(Primes)
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	count, last := 0, 0
	for p, err := range Primes.All(ctx, pool, 2) {
		if err != nil {
			log.Fatal(err)
		}
		if p > limit {
			break // and the generator stops
		}
		count, last = count+1, p
	}
	fmt.Printf("%d primes up to %d, the last is %d\n", count, limit, last)

	var next []int
	for p, err := range Primes.All(ctx, pool, limit) {
		if err != nil {
			log.Fatal(err)
		}
		if next = append(next, p); len(next) == 5 {
			break
		}
	}
	fmt.Printf("the next are %v\n", next)
	if !slices.IsSorted(next) || next[0] <= last {
		log.Fatal("that can't be")
	}
	fmt.Printf("%d worker did all of it\n", pool.Stats().Starts)
}
