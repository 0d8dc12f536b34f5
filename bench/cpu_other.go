//go:build !linux

package main

import (
	"errors"
	"fmt"
	"time"
)

var errNoProcessClock = fmt.Errorf("CPU time of other processes: %w", errors.ErrUnsupported)

func processCPU(int) (time.Duration, error) { return 0, errNoProcessClock }

func childPIDs() ([]int, error) { return nil, errNoProcessClock }
