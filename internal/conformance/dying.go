package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/internal/proc"
)

var initialized atomic.Bool

// hostEnv makes a program that calls Init a host: it names the file that says of which
// worker.
const hostEnv = "PROCPOOL_CONFORMANCE_HOST"

// Init makes the program able to be the host that dies in one of the cases. Call it
// first thing in main: in a process that the kit has started for that it never
// returns, elsewhere it returns at once.
func Init() {
	initialized.Store(true)
	plan := os.Getenv(hostEnv)
	if plan == "" {
		return
	}
	if err := beHost(plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hostPlan says what a host is to do that will be killed.
type hostPlan struct {
	Command []string
	Env     []string
	Dir     string
	Mark    string
}

// beHost starts a worker, has it start a process and hold out, says who they are, and
// waits to be killed.
func beHost(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var plan hostPlan
	if err := json.Unmarshal(data, &plan); err != nil {
		return err
	}
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{
		Workers: 1, Command: executor.Program(plan.Command[0], plan.Command[1:]...), Env: plan.Env, Dir: plan.Dir, HungAfter: -1,
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	worker, err := procpool.Remote[any, int]("pid").Call(ctx, pool, nil)
	if err != nil {
		return err
	}
	child, err := procpool.Remote[any, int]("child").Call(ctx, pool, nil)
	if err != nil {
		return err
	}
	f := procpool.Remote[args, any]("hold_out").Submit(ctx, pool, args{"mark": plan.Mark})
	if _, err := fmt.Fprintf(os.Stdout, "host of %d and %d\n", worker, child); err != nil {
		return err
	}
	// The kit's end is the end of this.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	f.Cancel()
	return nil
}

// dyingHost is a process that is a worker's host.
type dyingHost struct {
	t     *trial
	child *proc.Child

	mu    sync.Mutex
	lines []string
}

// dyingHost starts this program as a host, and returns when its worker holds out.
func (t *trial) dyingHost() *dyingHost {
	self, err := os.Executable()
	t.must(err)
	mark := t.path("mark")
	plan, err := json.Marshal(hostPlan{Command: t.kit.cfg.Command, Env: t.kit.cfg.Env, Dir: t.kit.cfg.Dir, Mark: mark})
	t.must(err)
	t.must(os.WriteFile(t.path("plan"), plan, 0o600))
	h := &dyingHost{t: t}
	h.child, err = t.kit.spawner.Start(t.ctx, proc.Spec{
		Path: self, Env: append(os.Environ(), hostEnv+"="+t.path("plan")), Output: h.printed,
	})
	t.must(err)
	t.onEnd(h.kill)
	said := t.eventually(func() bool { return h.ended() || len(t.lines(mark)) > 0 && h.said() != "" })
	if !said || h.ended() {
		h.child.Close()
		t.failf("A host started a worker, to be killed while that runs hold_out: expected that it does, it printed %q", h.all())
	}
	return h
}

func (h *dyingHost) printed(_ proc.Stream, line []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, string(line))
}

func (h *dyingHost) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// saying begins the line in which a host says who its processes are.
const saying = "host of "

// said returns that line, empty if it has not come.
func (h *dyingHost) said() string {
	lines := h.all()
	if i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, saying) }); i >= 0 {
		return lines[i]
	}
	return ""
}

func (h *dyingHost) ended() bool {
	select {
	case <-h.child.Done():
		return true
	default:
		return false
	}
}

// pids returns the worker's process and the one that it has started.
func (h *dyingHost) pids() (worker, child int) {
	if _, err := fmt.Sscanf(h.said(), saying+"%d and %d", &worker, &child); err != nil {
		h.t.must(errors.Join(errors.New("the kit itself is wrong: its host says "+h.said()), err))
	}
	return worker, child
}

// kill kills the host and nothing else.
func (h *dyingHost) kill() {
	h.child.Kill() // and its group, in which it is alone
	h.child.Close()
}
