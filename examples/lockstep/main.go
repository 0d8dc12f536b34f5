// Lockstep is the counter of every threading tutorial, with processes: five of them
// add one to the number in a file, 2,000 times each, under one lock. One is killed half
// way, while it holds the lock and the file is half written. The next that gets the lock
// is told, mends the file, and in the end it holds every increment that was acknowledged.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
	"github.com/procpool/procpool/workerproc"
)

const (
	processes  = 5
	increments = 2000
)

var (
	// Guard guards the file.
	Guard = shared.DefineMutex("guard")
	// Acknowledged counts the increments that are done.
	Acknowledged = shared.DefineCounter("acknowledged")
	// Mended counts how often the file was mended.
	Mended = shared.DefineCounter("mended")
)

// job says where the file is, and in which increment to die, 0 for none.
type job struct {
	File string
	Dies int
}

// Count makes all increments of one process.
var Count = procpool.Define("count", func(ctx context.Context, in job) (int, error) {
	for i := range increments {
		if err := increment(ctx, in.File, i+1 == in.Dies); err != nil {
			return i, err
		}
	}
	return increments, nil
})

func increment(ctx context.Context, file string, dies bool) error {
	ex := procpool.ExecutorFrom(ctx)
	held, err := Guard.Lock(ctx, ex)
	if err != nil {
		return err
	}
	defer held.Unlock()
	if held.Abandoned() {
		if err := mend(ctx, ex, file); err != nil {
			return err
		}
	}
	n, err := read(file)
	if err != nil {
		return err
	}
	if dies {
		return dieHalfWay(file)
	}
	if err := write(file, n+1); err != nil {
		return err
	}
	_, err = Acknowledged.Add(ctx, ex, 1)
	return err
}

// mend writes into the file what it must hold, whoever has died while he wrote it.
func mend(ctx context.Context, ex procpool.Executor, file string) error {
	n, err := Acknowledged.Value(ctx, ex)
	if err == nil {
		_, err = Mended.Add(ctx, ex, 1)
	}
	return errors.Join(err, write(file, n))
}

func read(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func write(file string, n int64) error {
	return os.WriteFile(file, []byte(strconv.FormatInt(n, 10)), 0o600)
}

// dieHalfWay leaves the file empty and has the process killed.
func dieHalfWay(file string) error {
	if err := os.Truncate(file, 0); err != nil {
		return err
	}
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
	workerproc.Init(Count)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "lockstep-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "number")
	if err := write(file, 0); err != nil {
		return err
	}

	ready := make(chan struct{}, 2*processes)
	pool, err := executor.New(ctx, executor.Config{Workers: processes, Output: io.Discard, OnEvent: func(e executor.Event) {
		if e.Kind == executor.WorkerReady {
			ready <- struct{}{}
		}
	}})
	if err != nil {
		return err
	}
	defer pool.Close()
	for range processes {
		<-ready
	}
	fmt.Printf("%d processes make %d increments each, of one number in a file, under one lock\n", processes, increments)

	calls := make([]*procpool.Future[int], processes)
	for i := range calls {
		in := job{File: file}
		if i == 2 {
			in.Dies = increments / 2
		}
		calls[i] = Count.Submit(ctx, pool, in)
	}
	for i, call := range calls {
		n, err := call.Result(ctx)
		if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
			fmt.Printf("process %d died in increment %d, with the lock: %s\n", i+1, increments/2, crash.Reason)
		} else if err != nil {
			return err
		} else {
			fmt.Printf("process %d made %d\n", i+1, n)
		}
	}

	mended, err := Mended.Value(ctx, pool)
	if err != nil {
		return err
	}
	acknowledged, err := Acknowledged.Value(ctx, pool)
	if err != nil {
		return err
	}
	n, err := read(file)
	if err != nil {
		return err
	}
	fmt.Printf("the next with the lock was told, and mended the file: %d time\n", mended)
	fmt.Printf("%d increments were acknowledged, and the file holds %d\n", acknowledged, n)
	return nil
}
