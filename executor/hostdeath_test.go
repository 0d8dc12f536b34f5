package executor_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// hostRole makes the test binary a host whose workers do as the variable says. A
// worker does not inherit it, since it begins with PROCPOOL_.
const hostRole = "PROCPOOL_TEST_HOST"

// beHost starts a pool, says so and waits to be killed, or ends without Close.
func beHost() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 2, Output: io.Discard})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	role := os.Getenv(hostRole)
	dir := os.Getenv("PROCPOOL_TEST_DIR")
	if task, ok := map[string]*procpool.Func[string, int]{"busy": gate, "deaf": deaf}[role]; ok {
		for i := range 2 {
			task.Submit(ctx, pool, filepath.Join(dir, strconv.Itoa(i)))
		}
		for i := range 2 {
			if err := untilFile(ctx, filepath.Join(dir, strconv.Itoa(i)+".started")); err != nil {
				fmt.Println(err)
			}
		}
	}
	if role == "children" || role == "stopped" {
		showChildren(ctx, pool, role == "stopped")
	}
	if role == "sharing" {
		share(ctx, pool, dir)
	}
	if role == "actors" {
		showActors(ctx, pool, dir)
	}
	fmt.Println("ready")
	if role == "leaves" {
		os.Exit(0)
	}
	select {}
}

// showChildren has the workers start processes of their own, prints the ids of all,
// and may stop the workers.
func showChildren(ctx context.Context, pool *executor.Pool, stop bool) {
	var workers []int
	for range 2 {
		f := child.Submit(ctx, pool, 0)
		id, err := f.Result(ctx)
		if err != nil {
			fmt.Println(err)
		}
		workers = append(workers, f.Info().PID)
		fmt.Println(id)
	}
	for _, id := range workers {
		fmt.Println(id)
		if stop {
			if err := sendSignal(id, stopSignal); err != nil {
				fmt.Println(err)
			}
		}
	}
}

// T115, #52: whatever the workers do, they do not outlive their host, killed or
// gone without Close, nor do the processes that they started. Rule 6.6.
func TestHostsDeath(t *testing.T) {
	for _, role := range []string{"idle", "busy", "deaf", "leaves", "children", "stopped", "sharing", "actors"} {
		t.Run(role, func(t *testing.T) {
			processes(t)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			host := exec.Command(self)
			host.Env = append(os.Environ(), hostRole+"="+role, "PROCPOOL_TEST_DIR="+t.TempDir())
			out, err := host.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			var ids []int
			said := bufio.NewScanner(out)
			for said.Scan() && said.Text() != "ready" {
				id, err := strconv.Atoi(said.Text())
				if err != nil {
					t.Errorf("the host says %q", said.Text())
				}
				ids = append(ids, id)
			}
			if role != "leaves" {
				if err := host.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
			_ = host.Wait()
			for _, id := range ids {
				eventually(t, "what it started is gone", func() bool { return !alive(id) })
			}
		})
	}
}
