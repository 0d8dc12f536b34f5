// Package workerproc is the worker's side of procpool: it makes a program serve
// tasks to the pool that started it.
//
// Most programs are their own workers and call [Init] first thing in main. A
// program that does nothing but serve tasks calls [Serve].
package workerproc

import (
	"context"
	"fmt"
	"os"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/selfexec"
	"github.com/procpool/procpool/internal/wire"
)

// Init makes the program able to run itself again as a worker. Call it first thing
// in main with every task that the program's pools will call. In the program
// itself it returns at once; in a worker it serves the tasks, never returns, and
// ends the process when the pool is done with it.
//
// So a worker never runs the rest of main. What main sets up does not exist
// there: flags are not parsed, variables have the values that package
// initialization gave them, which runs again in each worker. Keep handles in
// package-level variables and load what a task needs inside the task, in a
// sync.OnceValue.
//
// Init panics when it is called twice, when a task is nil or was made by
// procpool.Remote, and when two tasks have the same name.
func Init(tasks ...procpool.Task) {
	if !selfexec.MarkInit() {
		panic("procpool: workerproc.Init: it was called before; call it once, with all tasks")
	}
	if err := checkTasks(tasks); err != nil {
		panic("procpool: workerproc.Init: " + err.Error())
	}
	if !wire.UnderHost() {
		return
	}
	if err := wire.ServeWorker(context.Background(), wire.ServeOptions{Tasks: tasks}); err != nil {
		fmt.Fprintln(os.Stderr, "procpool: the worker failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Serve makes a program that is a worker and nothing else serve tasks: give it to a
// pool with executor.Program. It blocks until the pool is done with the worker or
// ctx ends, and returns nil then; the program should end soon after. Run by hand,
// it returns an error that says how the program is meant to be used.
//
// Like Init it refuses, with an error, tasks that are nil, made by
// procpool.Remote, or of the same name.
func Serve(ctx context.Context, tasks ...procpool.Task) error {
	if err := checkTasks(tasks); err != nil {
		return fmt.Errorf("workerproc.Serve: %w", err)
	}
	if !wire.UnderHost() {
		return fmt.Errorf("workerproc.Serve: %w; give its path to executor.Program", wire.ErrNoHost)
	}
	return wire.ServeWorker(ctx, wire.ServeOptions{Tasks: tasks})
}

func checkTasks(tasks []procpool.Task) error {
	seen := make(map[string]bool, len(tasks))
	for i, t := range tasks {
		if t == nil {
			return fmt.Errorf("task %d is nil", i+1)
		}
		name := t.Name()
		if handle, ok := t.(interface{ Local() bool }); ok && !handle.Local() {
			return fmt.Errorf("task %q is a handle made by procpool.Remote, which has no function to run: serve the one made by procpool.Define", name)
		}
		if seen[name] {
			return fmt.Errorf("two tasks have the name %q", name)
		}
		seen[name] = true
	}
	return nil
}
