// Progress counts primes in many calls and shows how far it has come in one live
// line. Where standard output is no terminal it prints plain lines instead.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

const (
	limit = 10_000_000
	step  = 50_000
)

// CountPrimes counts the primes from its argument on, over step numbers.
var CountPrimes = procpool.Define("count_primes", func(ctx context.Context, from int) (int, error) {
	count := 0
	for n := from; n < from+step; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if isPrime(n) {
			count++
		}
	}
	return count, nil
})

func isPrime(n int) bool {
	if n < 4 || n%2 == 0 {
		return n == 2 || n == 3
	}
	for d := 3; d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return true
}

func main() {
	workerproc.Init(CountPrimes)
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	var futures []*procpool.Future[int]
	for from := 0; from < limit; from += step {
		futures = append(futures, CountPrimes.Submit(ctx, pool, from))
	}
	show := newProgress(len(futures))
	sum := 0
	for future := range procpool.AsCompleted(ctx, futures...) {
		count, err := future.Result(ctx)
		if err != nil {
			log.Fatal(err)
		}
		sum += count
		show.step(pool.Stats())
	}
	fmt.Printf("%d primes below %d\n", sum, limit)
}

// progress shows how many calls are done.
type progress struct {
	total, done int
	live        bool // standard output is a terminal
	shown       time.Time
}

func newProgress(total int) *progress {
	info, err := os.Stdout.Stat()
	return &progress{total: total, live: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// step counts a call. A terminal gets a line that writes over itself ten times a
// second, a file a line at each quarter.
func (p *progress) step(s executor.Stats) {
	p.done++
	last := p.done == p.total
	if !p.live {
		if p.done*4/p.total > (p.done-1)*4/p.total {
			fmt.Printf("%d of %d calls done\n", p.done, p.total)
		}
		return
	}
	if now := time.Now(); last || now.Sub(p.shown) >= 100*time.Millisecond {
		p.shown = now
		const width = 30
		full := p.done * width / p.total
		fmt.Printf("\r[%s%s] %d of %d calls, %d workers busy, %d calls queued\x1b[K",
			strings.Repeat("#", full), strings.Repeat("-", width-full), p.done, p.total, s.Busy, s.Queued)
	}
	if last {
		fmt.Println()
	}
}
