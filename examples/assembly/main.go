// Assembly is a bounded line of work: the program puts parts into a queue, three
// processes take them out, and Join waits for the last. One part kills whoever touches it
// first, and another whoever touches it at all. Nothing is lost: what the dead had in
// their hands goes back to the front, and what nobody survives is set aside.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
	"github.com/procpool/procpool/workerproc"
)

const (
	parts      = 200
	assemblers = 3
	fragile    = 77 // kills the first who touches it
	bomb       = 13 // kills everybody
)

var (
	// Parts has room for ten, and delivers each at most three times.
	Parts = shared.DefineQueue[int]("parts", 10, shared.Deliveries(3))
	// Assembled has the finished parts.
	Assembled = shared.DefineQueue[finished]("assembled", parts)
)

// finished is a part that has been assembled.
type finished struct {
	Part, Delivery int
}

// Assemble takes parts out of the queue until there are no more. When its process dies
// it is run again: what was done is done, so it goes on where it was.
var Assemble = procpool.Define("assemble", func(ctx context.Context, _ int) (int, error) {
	ex := procpool.ExecutorFrom(ctx)
	n := 0
	for item, err := range Parts.All(ctx, ex) {
		if err != nil {
			return n, err
		}
		if item.Value == bomb || item.Value == fragile && item.Delivery == 1 {
			return n, die()
		}
		if err := Assembled.Put(ctx, ex, finished{Part: item.Value, Delivery: item.Delivery}); err != nil {
			return n, err
		}
		if err := item.Done(ctx); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}, procpool.Retries(10))

// die has the process killed.
func die() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {} // the end is under way
}

func main() {
	workerproc.Init(Assemble)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	ready := make(chan struct{}, 100)
	pool, err := executor.New(ctx, executor.Config{Workers: assemblers, Output: io.Discard, OnEvent: func(e executor.Event) {
		if e.Kind == executor.WorkerReady {
			ready <- struct{}{}
		}
	}})
	if err != nil {
		return err
	}
	defer pool.Close()
	for range assemblers {
		<-ready
	}

	workers := make([]*procpool.Future[int], assemblers)
	for i := range workers {
		workers[i] = Assemble.Submit(ctx, pool, i)
	}
	for part := range parts {
		if err := Parts.Put(ctx, pool, part); err != nil { // never far ahead of those who take them
			return err
		}
	}
	fmt.Printf("%d parts were put into a queue that holds 10, and %d processes took them out\n", parts, assemblers)
	if err := Parts.Join(ctx, pool); err != nil {
		return err
	}
	if err := Parts.Close(ctx, pool); err != nil { // the assemblers may go home
		return err
	}
	for _, w := range workers {
		if _, err := w.Result(ctx); err != nil {
			return err
		}
	}
	return report(ctx, pool)
}

// report tells what became of the parts.
func report(ctx context.Context, pool *executor.Pool) error {
	if err := Assembled.Close(ctx, pool); err != nil {
		return err
	}
	seen := make(map[int]bool)
	for item, err := range Assembled.All(ctx, pool) {
		if err != nil {
			return err
		}
		part := item.Value
		if seen[part.Part] {
			fmt.Printf("part %d was assembled twice\n", part.Part)
		}
		seen[part.Part] = true
		if part.Delivery > 1 {
			fmt.Printf("part %d was assembled at delivery %d: who had it before died with it\n", part.Part, part.Delivery)
		}
		if err := item.Done(ctx); err != nil {
			return err
		}
	}
	letters, err := Parts.DeadLetters(ctx, pool)
	if err != nil {
		return err
	}
	for _, l := range letters {
		fmt.Printf("part %d was set aside: all %d who had it died with it\n", l.Value, l.Deliveries)
	}
	fmt.Printf("%d parts were assembled and %d set aside; %d processes died\n", len(seen), len(letters), pool.Stats().Crashes)
	return nil
}
