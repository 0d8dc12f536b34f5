package executor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// logs passes what tasks log to the pool's logger on a goroutine of its own, so that
// a slow handler holds up neither workers nor pool. What it can't keep is dropped and
// counted.
type logs struct {
	logger *slog.Logger

	mu      sync.Mutex
	pending []slog.Record
	closed  bool
	idle    chan struct{} // closed when that goroutine ends; nil when there is none

	dropped atomic.Uint64
}

// logBacklog bounds how many records wait for the handler. Each has at most 64 KiB of
// text.
const logBacklog = 1024

func (l *logs) put(r slog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case len(l.pending) >= logBacklog:
		l.dropped.Add(1)
	default:
		l.pending = append(l.pending, r)
		if l.idle == nil {
			l.idle = make(chan struct{})
			go l.write()
		}
	}
}

func (l *logs) write() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) > 0 {
		batch := l.pending
		l.pending = nil
		l.mu.Unlock()
		for _, r := range batch {
			l.handle(r)
		}
		l.mu.Lock()
	}
	close(l.idle)
	l.idle = nil
}

// handle hands the handler a record, as the logger would.
func (l *logs) handle(r slog.Record) {
	ctx := context.Background()
	if h := l.logger.Handler(); h.Enabled(ctx, r.Level) {
		_ = h.Handle(ctx, r) // there is nobody to tell
	}
}

// close waits until the handler has had what there is. One that hangs is given up
// after a while.
func (l *logs) close() {
	l.mu.Lock()
	l.closed = true
	idle := l.idle
	l.mu.Unlock()
	awaitFor(idle, flushTime)
}

// awaitFor waits until ch is closed, which may be nil, at most for a while.
func awaitFor(ch <-chan struct{}, patience time.Duration) {
	if ch == nil {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
	}
}
