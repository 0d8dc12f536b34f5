package wire

import (
	"context"
	"log/slog"
	"slices"
	"time"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// reportEvery is how much time lies between two reports of a call, at least: of
// those in between only the last is sent.
const reportEvery = 10 * time.Millisecond

// reports are what a call tells of how far it has come. They are guarded by the
// callHost's lock.
type reports struct {
	last  progress
	due   bool  // whether it was not sent yet
	sent  int64 // when one was sent last, in monotonicNow's clock; 0 for never
	timer *time.Timer
	armed bool // whether the timer is going to send the last one
}

// Report sends how far the call has come, now or soon.
func (h *callHost) Report(fraction float64, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over.Load() || !h.server.offers.progress {
		return
	}
	r := &h.reports
	r.last, r.due = progress{call: h.key, fraction: fraction, text: text}, true
	wait := time.Duration(r.sent + int64(reportEvery) - monotonicNow())
	switch {
	case r.sent == 0 || wait <= 0:
		r.flush(h)
	case r.armed:
	case r.timer == nil:
		r.armed = true
		r.timer = time.AfterFunc(wait, h.reportLate)
	default:
		r.armed = true
		r.timer.Reset(wait)
	}
}

// reportLate sends what Report has kept.
func (h *callHost) reportLate() {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &h.reports
	// One that waited here while Report sent what it was to send comes too early for
	// what was reported since.
	if !h.over.Load() && r.armed && monotonicNow() >= r.sent+int64(reportEvery) {
		r.armed = false
		r.flush(h)
	}
}

// flush sends the last report if that was not done yet.
func (r *reports) flush(h *callHost) {
	if !r.due {
		return
	}
	if r.armed {
		r.armed = false
		r.timer.Stop()
	}
	head := append(make([]byte, 0, 64+min(len(r.last.text), maxFailureText)), tagResponseProgress, 0)
	h.server.sendSide(sideElementOf(r.last.append(head), nil))
	r.due, r.sent, r.last = false, monotonicNow(), progress{}
}

// LogHandler takes the call's log records.
func (h *callHost) LogHandler() slog.Handler { return &logHandler{host: h} }

// logHandler is a slog.Handler that sends records to the host.
type logHandler struct {
	host   *callHost
	prefix string     // the names of the groups, each with a dot behind it
	fields []logField // from WithAttrs; never modified
}

// Enabled reports whether the host wants records of the level.
func (l *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	if l.host.over.Load() {
		return false
	}
	least := l.host.server.offers.log
	return least != workerv1.LogLevel_LOG_LEVEL_UNSPECIFIED && wireLevel(level) >= least
}

// Handle sends a record.
func (l *logHandler) Handle(_ context.Context, r slog.Record) error {
	line := logLine{call: l.host.key, level: wireLevel(r.Level), time: r.Time, message: cutText(r.Message), fields: slices.Clip(l.fields)}
	r.Attrs(func(a slog.Attr) bool {
		line.fields = appendAttr(line.fields, l.prefix, a)
		return len(line.fields) < maxLogFields
	})
	head := append(make([]byte, 0, 256), tagResponseLogs, 0)
	fields, large := sideElementOf(line.append(head), nil)
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	if !l.host.over.Load() {
		l.host.server.sendSide(fields, large)
	}
	return nil
}

// WithAttrs returns a handler whose records have these attributes, too.
func (l *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.fields = slices.Clip(with.fields)
	for _, a := range attrs {
		with.fields = appendAttr(with.fields, l.prefix, a)
	}
	return &with
}

// WithGroup returns a handler that puts the name in front of those of the attributes
// that follow.
func (l *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	with := *l
	with.prefix += name + "."
	return &with
}

// appendAttr appends an attribute with its value as text, those of a group one by
// one. What is beyond maxLogFields is dropped.
func appendAttr(fields []logField, prefix string, a slog.Attr) []logField {
	v := a.Value.Resolve()
	switch {
	case len(fields) >= maxLogFields, a.Key == "" && v.Equal(slog.Value{}):
		return fields
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			fields = appendAttr(fields, prefix, member)
		}
		return fields
	}
	return append(fields, logField{cutText(prefix + a.Key), cutText(valueText(v))})
}

// valueText returns a value that is no group as text.
func valueText(v slog.Value) string {
	if v.Kind() == slog.KindTime {
		return v.Time().Format(time.RFC3339Nano)
	}
	return v.String() // which bears with methods that panic
}

// offers are the parts of the contract that a worker's host has and that calls may
// use.
type offers struct {
	hostCall, shared, progress, actor bool
	log                               workerv1.LogLevel // the least that it wants, unspecified for none
}

func offersOf(r *workerv1.HelloRequest) offers {
	has := func(name string) bool { return slices.Contains(r.GetCapabilities(), name) }
	o := offers{
		hostCall: has(capabilityHostCall), shared: has(capabilityShared), progress: has(capabilityProgress), actor: has(capabilityActor),
	}
	if has(capabilityLog) {
		o.log = min(max(r.GetLogLevel(), 0), workerv1.LogLevel_LOG_LEVEL_ERROR)
	}
	return o
}
