package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// pinnedRun is the raw ping-pong with one process on the first CPU and the
// other on the last. Left alone, the kernel likes to put the two on one CPU,
// where a message costs no wake-up of a sleeping one; but then they take turns,
// and a worker that can't run while its host does is not what a pool is for.
// The side that is timed is a process too, because pinning our own would slow
// down all the other sides.
type pinnedRun struct {
	count       int
	first, last int
}

func openPinned(_ context.Context, count int) (subject, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("the CPUs of this process are unknown: %w", err)
	}
	if allowed.Count() < 2 {
		return nil, errors.New("needs two CPUs")
	}
	r := &pinnedRun{count: count, first: -1}
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			r.last = cpu
			if r.first < 0 {
				r.first = cpu
			}
		}
	}
	return r, nil
}

// Round starts the two processes and reads what the timed one printed.
func (r *pinnedRun) Round(ctx context.Context) (figures, error) {
	cmd, err := child(ctx, partPinnedDrive, strconv.Itoa(r.count), strconv.Itoa(r.last))
	if err != nil {
		return nil, err
	}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := startOn(r.first, cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("the pinned process failed: %w: %s", err, lastLine(stderr.String()))
	}
	var got figures
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return nil, fmt.Errorf("the pinned process printed %q: %w", out.Bytes(), err)
	}
	return got, nil
}

// Close does nothing: the processes end with their round.
func (*pinnedRun) Close() error { return nil }

// pinnedDrive is the timed process. It has its own CPU already and starts the
// other one elsewhere.
func pinnedDrive(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) != 2 {
		return errors.New("needs a count and a CPU")
	}
	count, countErr := strconv.Atoi(args[0])
	cpu, cpuErr := strconv.Atoi(args[1])
	if err := errors.Join(countErr, cpuErr); err != nil {
		return fmt.Errorf("the count or the CPU is not a number: %w", err)
	}
	peer, err := openSocketPeerWith(ctx, messageSize, func(cmd *exec.Cmd) error { return startOn(cpu, cmd) })
	if err != nil {
		return err
	}
	run := exchangeRun{peer, count}
	got, err := run.Round(ctx)
	if err := errors.Join(err, peer.Close()); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(got); err != nil {
		return fmt.Errorf("reporting to the benchmark: %w", err)
	}
	return nil
}

// startOn starts a process on one CPU. A process inherits the CPUs of the
// thread that makes it.
func startOn(cpu int, cmd *exec.Cmd) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("the CPUs of this thread are unknown: %w", err)
	}
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("moving to CPU %d: %w", cpu, err)
	}
	defer func() {
		if back := unix.SchedSetaffinity(0, &before); back != nil {
			err = errors.Join(err, fmt.Errorf("moving back from CPU %d: %w", cpu, back))
		}
	}()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a process on CPU %d: %w", cpu, err)
	}
	return nil
}
