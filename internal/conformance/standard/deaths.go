package standard

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/procpool/procpool"
)

// deaths lists the functions that kill their process.
func deaths() []procpool.Task {
	return []procpool.Task{
		procpool.Define("exit", func(_ context.Context, status int) (nothing, error) {
			os.Exit(status)
			return nil, nil
		}),
		procpool.Define("die", die),
	}
}

func die(_ context.Context, number int) (nothing, error) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return nil, err
	}
	if err := self.Signal(syscall.Signal(number)); err != nil {
		return nil, fmt.Errorf("sending signal %d to the own process: %w", number, err)
	}
	select {}
}
