package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// An interrupt is a signal by which somebody asked the program to end.
type interrupt struct{ signal syscall.Signal }

func (i *interrupt) Error() string { return i.signal.String() }

// watchInterrupts returns a context that ends at the first signal to end the program,
// which asks what runs to stop, and one that ends at the second, which stops it. The
// third signal kills the program, as if nobody watched. The workers are in process
// groups of their own, so that Ctrl-C reaches this program alone.
func watchInterrupts() (ask, kill context.Context) {
	ask, cancelAsk := context.WithCancelCause(context.Background())
	kill, cancelKill := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		cancelAsk(received(<-signals))
		cancelKill(received(<-signals))
		signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	}()
	// Where whoever reads the results leaves, writing is to fail, so that the worker
	// can be told; by default it would kill the program. Ignoring the signal would be
	// inherited by the workers.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return ask, kill
}

func received(s os.Signal) error {
	number, ok := s.(syscall.Signal)
	if !ok {
		number = syscall.SIGTERM // there are no others
	}
	return &interrupt{number}
}
