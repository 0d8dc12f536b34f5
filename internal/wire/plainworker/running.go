//go:build unix

package plainworker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// running is the context of a call that runs, and what that can ask of its host: it is
// a procpool.Host.
type running struct {
	context.Context //nolint:containedctx // it is one

	lane *lane
	call call

	mu    sync.Mutex
	over  bool
	late  []*workerv1.WorkResponse // of SaysLate
	calls map[uint64]*madeCall
}

// Deadline is what the host has said, for the task to know.
func (r *running) Deadline() (time.Time, bool) {
	left := r.call.task.GetTimeoutNanos()
	return r.call.arrived.Add(time.Duration(left)), left > 0
}

// Value finds the host.
func (r *running) Value(key any) any {
	if key == procpool.HostKey() {
		return r
	}
	return r.Context.Value(key)
}

// end says that the call is over, and gives up what it has called.
func (r *running) end() {
	r.mu.Lock()
	r.over = true
	calls, late := r.calls, r.late
	r.calls = nil
	r.mu.Unlock()
	for _, c := range calls {
		r.lane.server.made.dropped(c)
		c.finish(nil, fmt.Errorf("the call that has made it has ended: %w", context.Canceled))
	}
	if len(late) > 0 {
		s := r.lane.server
		before := s.post(&workerv1.WorkResponse{})
		go func() {
			s.kernel.await(before + 1) // something more was sent, and that is the outcome
			for _, said := range late {
				s.post(said)
			}
		}()
	}
}

// say sends what the call tells beside, if it was offered.
func (r *running) say(capability string, said *workerv1.WorkResponse) {
	fault := r.lane.server.fault
	if !r.lane.server.offered(capability) && fault != SaysAll {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
	case fault == SaysLate:
		r.late = append(r.late, said)
	default:
		r.lane.server.post(said)
	}
}

// Report sends Progress.
func (r *running) Report(fraction float64, text string) {
	r.say("progress", &workerv1.WorkResponse{Progress: []*workerv1.Progress{{
		Seq: r.call.seq, Lane: r.lane.index, Done: fraction, Total: 1, Message: valid(text),
	}}})
}

// LogHandler makes Logs.
func (r *running) LogHandler() slog.Handler { return logs{running: r} }

// logs is a log handler that sends the lines to the host.
type logs struct {
	running *running
	fields  []slog.Attr
}

func level(l slog.Level) workerv1.LogLevel {
	switch {
	case l < slog.LevelInfo:
		return workerv1.LogLevel_LOG_LEVEL_DEBUG
	case l < slog.LevelWarn:
		return workerv1.LogLevel_LOG_LEVEL_INFO
	case l < slog.LevelError:
		return workerv1.LogLevel_LOG_LEVEL_WARN
	}
	return workerv1.LogLevel_LOG_LEVEL_ERROR
}

// Enabled reports whether the host wants the level.
func (h logs) Enabled(_ context.Context, l slog.Level) bool {
	wanted := h.running.lane.server.hello.GetLogLevel()
	return wanted != workerv1.LogLevel_LOG_LEVEL_UNSPECIFIED && level(l) >= wanted || h.running.lane.server.fault == SaysAll
}

// Handle sends a line.
func (h logs) Handle(_ context.Context, record slog.Record) error {
	line := &workerv1.Log{
		Level: level(record.Level), Message: valid(record.Message), Fields: make(map[string]string),
		Seq: h.running.call.seq, Lane: h.running.lane.index, TimeUnixNanos: uint64(record.Time.UnixNano()),
	}
	for _, field := range h.fields {
		line.Fields[valid(field.Key)] = valid(field.Value.String())
	}
	record.Attrs(func(field slog.Attr) bool {
		line.Fields[valid(field.Key)] = valid(field.Value.String())
		return true
	})
	h.running.say("log", &workerv1.WorkResponse{Logs: []*workerv1.Log{line}})
	return nil
}

// WithAttrs keeps the fields.
func (h logs) WithAttrs(fields []slog.Attr) slog.Handler {
	h.fields = append(slices.Clip(h.fields), fields...)
	return h
}

// WithGroup leaves the group away.
func (h logs) WithGroup(string) slog.Handler { return h }
