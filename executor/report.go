package executor

import (
	"context"
	"log/slog"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// reported takes what a running call says of how far it has come.
func (m *member) reported(lane uint32, seq uint64, p procpool.Progress) {
	c, attempt := m.sched.CallAt(m.number, lane, seq)
	if c == nil {
		return // the pool's own, or it was given up
	}
	p.Time = time.Now()
	c.NoteProgress(p)
	m.core.events.progress(Event{
		Kind: TaskProgress, Time: p.Time, Worker: m.number, PID: m.PID(),
		Task: c.Task(), Call: c.Slot.Stamp, Attempt: attempt, Progress: p,
	})
}

// logged takes a log record of a running call.
func (m *member) logged(r wire.LogRecord) {
	record := slog.NewRecord(r.Time, r.Level, r.Message, 0)
	record.AddAttrs(slog.Int("worker", m.number))
	if own := m.own.Load(); own != nil {
		record.AddAttrs(slog.String("task", own.task))
	} else if c, attempt := m.sched.CallAt(m.number, r.Lane, r.Seq); c != nil {
		record.AddAttrs(slog.String("task", c.Task()), slog.Int64("call", c.Slot.Stamp), slog.Int("attempt", attempt))
	}
	record.AddAttrs(r.Attrs...)
	m.core.logs.put(record)
}

// leastLevel returns the least important level that a logger wants, nil for none.
func leastLevel(l *slog.Logger) *slog.Level {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if l.Enabled(context.Background(), level) {
			return &level
		}
	}
	return nil
}
