package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// coldStart runs this binary as a fresh host process each round, which starts
// a worker and prints when the first result was there. A host that had started
// workers before would find its own caches warm.
type coldStart struct {
	part string
	args []string
}

// openColdStart warms the page cache with the binary, once.
func openColdStart(ctx context.Context, part string, args ...string) (subject, error) {
	c := coldStart{part: part, args: args}
	if _, err := c.Round(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Round starts one host.
func (c coldStart) Round(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd, err := child(ctx, c.part, c.args...)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the fresh host failed: %w: %s", err, lastLine(stderr.String()))
	}
	took, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the fresh host printed no time: %w", err)
	}
	return figures{"ms": milliseconds(time.Duration(took))}, nil
}

// Close does nothing: a host ends with its round.
func (coldStart) Close() error { return nil }
