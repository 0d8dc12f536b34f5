package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// What happens beside a running neighbour; see among. Each returns how to learn
// what became of the call that it happened to.

// interrupt sends the signal of a terminal's Ctrl-C to a worker that runs a call.
func (h *host) interrupt(int) (func() string, error) {
	f := gate.Submit(h.ctx, h.pool, h.path("call"))
	pid, err := h.started("call")
	if err != nil {
		return nil, err
	}
	return later(h, f), sendSignal(pid, interruptSignal)
}

// killIdle kills the worker that does not run the neighbour.
func (h *host) killIdle(neighbour int) (func() string, error) {
	idle := neighbour
	for idle == neighbour {
		idle = <-h.ready
	}
	if err := sendSignal(idle, syscall.SIGKILL); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	return func() string { return fateNone }, nil
}

// settle is how long a pool has to notice what concerns no call: an idle worker's
// death, or that there is room for another call.
const settle = 200 * time.Millisecond

// badCallback gives a call two callbacks, the first of which panics.
func (h *host) badCallback(int) (func() string, error) {
	f := gate.Submit(h.ctx, h.pool, h.path("call"))
	second := make(chan struct{})
	f.OnDone(func() { panic("a bug of the callback") })
	f.OnDone(func() { close(second) })
	_, err := h.started("call")
	return func() string {
		fate := fateOf(h.ctx, f)
		select {
		case <-second:
			return fate
		case <-time.After(patience):
			return "the second callback is not called"
		}
	}, err
}

// cancelRunning cancels a call that does not listen.
func (h *host) cancelRunning(int) (func() string, error) {
	f := deaf.Submit(h.ctx, h.pool, nap{h.path("call"), time.Hour})
	_, err := h.started("call")
	return func() string {
		if !f.Cancel() {
			return "it can't be cancelled"
		}
		return fateOf(h.ctx, f)
	}, err
}

// timeOut limits how long a call may run that takes longer and does not listen.
func (h *host) timeOut(int) (func() string, error) {
	f := deaf.Submit(h.ctx, h.pool, nap{h.path("call"), 10 * time.Second}, procpool.Timeout(500*time.Millisecond))
	_, err := h.started("call")
	return later(h, f), err
}

// stopRunning stops a worker that runs a call, and leaves it so. On a busy machine it
// takes a while until all threads of a process have stopped, so nothing lets that call
// end.
func (h *host) stopRunning(int) (func() string, error) {
	f := gate.Submit(h.ctx, h.pool, h.path("stopped"))
	pid, err := h.started("stopped")
	if err != nil {
		return nil, err
	}
	return later(h, f), sendSignal(pid, stopSignal)
}

// badInitializer starts a pool whose workers can't be initialized. Its call is the
// start of the pool.
func (h *host) badInitializer() error {
	cfg := h.config()
	cfg.Initializer = initialize.Bind(h.path("starts"))
	pool, err := executor.New(h.ctx, cfg)
	fate := nameOf(err)
	if err == nil {
		h.pool = pool
		fate = fateOf(h.ctx, square.Submit(h.ctx, pool, 1))
	}
	starts, err := os.ReadFile(h.path("starts"))
	if err != nil {
		return fmt.Errorf("no initializer ran: %w", err)
	}
	err = h.tell("call", fmt.Sprintf("%s, starts: %d", fate, len(starts)))
	if h.pool == nil {
		return errors.Join(err, h.tell("close", fateOK))
	}
	return errors.Join(err, h.close())
}

// startPrograms has every worker start a program that goes on for a minute.
func (h *host) startPrograms() error {
	var calls []*procpool.Future[int]
	for i := range poolSize {
		calls = append(calls, child.Submit(h.ctx, h.pool, h.path(strconv.Itoa(i))))
	}
	for i := range calls {
		if _, err := h.started(strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// cancelMany cancels eight calls, of which one runs and the others wait.
func (h *host) cancelMany(int) (func() string, error) {
	const n = 8
	var cancels []func() bool
	for i := range n {
		cancels = append(cancels, gate.Submit(h.ctx, h.pool, h.path(strconv.Itoa(i))).Cancel)
	}
	if _, err := h.started("0"); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	cancelled := 0
	for _, cancel := range cancels {
		if cancel() {
			cancelled++
		}
	}
	var err error
	for i := range n {
		err = errors.Join(err, h.open(strconv.Itoa(i)))
	}
	return func() string { return fmt.Sprintf("%d of %d cancelled", cancelled, n) }, err
}

// occupy gives every worker a task of four seconds, which does not listen.
func (h *host) occupy() error {
	_, err := h.occupied()
	return err
}

func (h *host) occupied() (pids []int, err error) {
	for i := range poolSize {
		name := strconv.Itoa(i)
		deaf.Submit(h.ctx, h.pool, nap{h.path(name), 4 * time.Second})
		pid, err := h.started(name)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// stopAll stops every worker while it runs a call.
func (h *host) stopAll() error {
	pids, err := h.occupied()
	for _, pid := range pids {
		err = errors.Join(err, sendSignal(pid, stopSignal))
	}
	return err
}
