package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// reportCases are about what a call tells while it runs.
func reportCases() []Case {
	const s = "reports"
	return []Case{
		{Section: s, Name: "progress", uses: []string{"progress"}, needs: []string{capProgress}, run: progress, Promise: "The last report of a call is known when it has ended."},
		{Section: s, Name: "progress message", uses: []string{"progress", "add"}, needs: []string{capProgress}, run: progressMessage, Promise: "Progress names its call and comes before the outcome, the last report in any case."},
		{Section: s, Name: "progress not offered", uses: []string{"progress", "add"}, needs: []string{capProgress}, run: progressNotOffered, Promise: "Where the host has not offered progress none is sent, and the function works."},
		{Section: s, Name: "log", uses: []string{"log", "pid"}, needs: []string{capLog}, run: logs, Promise: "Log lines reach the pool's logger with level, message and fields, in order."},
		{Section: s, Name: "log level", uses: []string{"log", "pid"}, needs: []string{capLog}, run: logLevel, Promise: "Lines below the level that the host wants are not sent."},
		{Section: s, Name: "log message", uses: []string{"log", "add"}, needs: []string{capLog}, run: logMessage, Promise: "A Log names its call and the time, and comes before the outcome."},
		{Section: s, Name: "log not offered", uses: []string{"log", "add"}, needs: []string{capLog}, run: logNotOffered, Promise: "Where the host has not offered log none is sent, and the function works."},
	}
}

// reports are what progress is called with.
func reports() []any {
	return []any{
		args{"done": 0.5, "total": 10.0, "message": "begun"}, args{"done": 5.0, "total": 10.0, "message": "half"}, args{"done": 9.0, "total": 10.0, "message": "nearly žluť"},
	}
}

func progress(t *trial) {
	p := t.pool(func(c *executor.Config) { c.OnEvent = func(executor.Event) {} })
	f := submit[any](p, "progress", reports())
	const done = "progress was called to report 0.5, 5 and 9 of 10"
	result(p, done, f)
	last := f.Info().Progress
	if math.Abs(last.Fraction-0.9) > 1e-9 || last.Text != "nearly žluť" {
		t.failf("%s: expected that 0.9 and \"nearly žluť\" is the last that is known, got %v and %q", done, last.Fraction, last.Text)
	}
}

func progressMessage(t *trial) {
	w := t.raw()
	task := w.task("progress", reports())
	w.send(task)
	const done = "progress was called to report 0.5, 5 and 9 of 10"
	w.answer(done, task)
	said, _ := w.Said(0, task.GetSeq())
	if len(said) == 0 {
		t.failf("%s: expected Progress before the outcome, got none", done)
	}
	for _, p := range said {
		if p.GetSeq() != task.GetSeq() || p.GetLane() != task.GetLane() {
			t.failf("%s: expected Progress of call %d, got %v", done, task.GetSeq(), p)
		}
	}
	last := said[len(said)-1]
	if math.Abs(last.GetDone()/last.GetTotal()-0.9) > 1e-9 || last.GetMessage() != "nearly žluť" {
		t.failf("%s: expected 9 of 10 and \"nearly žluť\" as the last before the outcome, got %v", done, last)
	}
	w.works(done)
}

func progressNotOffered(t *trial) {
	w := t.raw(func(o *rawhost.Options) { o.Capabilities = nil })
	task := w.task("progress", reports())
	w.send(task)
	w.answer("The host has not offered progress, and it was called", task)
	w.works("The host has not offered progress, and it was called")
}

// logged is what log is called with.
func logged() []any {
	return []any{
		args{"level": "debug", "message": "one"},
		args{"level": "info", "message": "two", "fields": args{"celsius": "71", "žluť": ""}},
		args{"level": "warn", "message": "three\nlines"},
		args{"level": "error", "message": ""},
	}
}

// recorder is a log handler that keeps the lines.
type recorder struct {
	least slog.Level
	mu    sync.Mutex
	lines []string
}

// Enabled reports whether a level is wanted.
func (r *recorder) Enabled(_ context.Context, l slog.Level) bool { return l >= r.least }

// Handle keeps a line, with those of its fields that log was called with.
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	var fields []string
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "celsius" || a.Key == "žluť" {
			fields = append(fields, fmt.Sprintf(" %s=%q", a.Key, a.Value.String()))
		}
		return true
	})
	slices.Sort(fields) // they have no order
	line := fmt.Sprintf("%v %q%s", record.Level, record.Message, strings.Join(fields, ""))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return nil
}

// WithAttrs and WithGroup drop what is the pool's.
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup returns the same.
func (r *recorder) WithGroup(string) slog.Handler { return r }

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// logsTo calls log in a pool whose logger wants a level, and compares.
func logsTo(t *trial, least slog.Level, want []string) {
	r := &recorder{least: least}
	p := t.pool(func(c *executor.Config) { c.Logger = slog.New(r) })
	call[any](p, "log", logged())
	if !t.soon(func() bool { return len(r.all()) >= len(want) }) || !slices.Equal(r.all(), want) {
		t.failf("log was called for four lines, and the pool's logger wants %v and above: expected %q, got %q", least, want, r.all())
	}
	p.pid() // by now a line that came late is there
	if got := r.all(); len(got) != len(want) {
		t.failf("log was called for four lines, and the pool's logger wants %v and above: expected %q, got %q", least, want, got)
	}
}

func logs(t *trial) {
	logsTo(t, slog.LevelDebug, []string{`DEBUG "one"`, `INFO "two" celsius="71" žluť=""`, `WARN "three\nlines"`, `ERROR ""`})
}

func logLevel(t *trial) { logsTo(t, slog.LevelWarn, []string{`WARN "three\nlines"`, `ERROR ""`}) }

// wants greets a worker as a host that wants logs of a level.
func (t *trial) wants(level workerv1.LogLevel) *raw {
	w := t.started()
	t.must(w.Dial(t.ctx))
	r := w.Request()
	r.LogLevel = level
	if _, err := w.Greet(t.ctx, r); err != nil {
		t.failf("Hello was called with log_level %v: expected an answer, got: %v; %s", level, err, w.End())
	}
	t.must(w.Open())
	return w
}

func logMessage(t *trial) {
	w := t.wants(workerv1.LogLevel_LOG_LEVEL_INFO)
	task := w.task("log", logged())
	w.send(task)
	const done = "log_level is LOG_LEVEL_INFO, and log was called for a line of each level"
	w.answer(done, task)
	_, lines := w.Said(0, task.GetSeq())
	expect(t, done+": the number of Logs before the outcome", len(lines), 3)
	for i, level := range []workerv1.LogLevel{workerv1.LogLevel_LOG_LEVEL_INFO, workerv1.LogLevel_LOG_LEVEL_WARN, workerv1.LogLevel_LOG_LEVEL_ERROR} {
		line := lines[i]
		expect(t, fmt.Sprintf("%s: the level of Log %d", done, i), line.GetLevel(), level)
		expect(t, fmt.Sprintf("%s: the call of Log %d", done, i), line.GetSeq(), task.GetSeq())
		if line.GetTimeUnixNanos() == 0 {
			t.failf("%s: expected time_unix_nanos, got %v", done, line)
		}
	}
	w.works(done)
}

func logNotOffered(t *trial) {
	w := t.raw(func(o *rawhost.Options) { o.Capabilities = nil })
	task := w.task("log", logged())
	w.send(task)
	w.answer("The host has not offered log, and it was called", task)

	w = t.wants(workerv1.LogLevel_LOG_LEVEL_UNSPECIFIED)
	task = w.task("log", logged())
	w.send(task)
	w.answer("log_level is LOG_LEVEL_UNSPECIFIED, which wants none, and log was called", task)
	w.works("log was called where nobody wants it")
}
