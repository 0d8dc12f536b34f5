package wire

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// LogRecord is what a task has logged.
type LogRecord struct {
	// Lane and Seq name the call that wrote it. Nothing says that it runs; Seq is 0
	// where no call has written it.
	Lane uint32
	Seq  uint64
	// Level is how important it is.
	Level slog.Level
	// Time is when it was written by the worker's clock, the zero time where the
	// worker does not say.
	Time time.Time
	// Message is the text, Attrs what belongs to it. All values are text, and
	// together they have at most 128 KiB.
	Message string
	Attrs   []slog.Attr
}

// takeSide takes in what came beside outcomes, values and credit. The error says what
// the worker does wrong.
func (w *Worker) takeSide(elements []sideElement) error {
	for _, e := range elements {
		var err error
		switch e.tag {
		case tagResponseProgress:
			err = w.takeProgress(e.body)
		case tagResponseLogs:
			err = w.takeLog(e.body)
		case tagResponseCalls:
			err = w.takeHostCall(e.body)
		case tagResponseCancels:
			err = w.takeHostCancel(e.body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeBeside takes in what came beside outcomes. The error says what the worker does
// wrong.
func (w *Worker) takeBeside(batch *replyBatch) error {
	if err := w.takeSide(batch.side); err != nil {
		return err
	}
	return w.takeValues(batch)
}

func (w *Worker) takeProgress(body []byte) error {
	if w.o.OnProgress == nil {
		return nil
	}
	var p progress
	if err := p.parse(body); err != nil {
		return fmt.Errorf("a report of how far a call has come can't be read: %w", err)
	}
	if w.outstanding(p.call) {
		w.o.OnProgress(p.call.lane, p.call.seq, procpool.Progress{Fraction: p.fraction, Text: p.text, Time: time.Now()})
	}
	return nil
}

func (w *Worker) takeLog(body []byte) error {
	if !w.wantsLogs() {
		return nil
	}
	var l logLine
	if err := l.parse(body); err != nil {
		return fmt.Errorf("a line for the log can't be read: %w", err)
	}
	r := LogRecord{Lane: l.call.lane, Seq: l.call.seq, Level: slogLevel(l.level), Time: l.time, Message: l.message}
	if !w.outstanding(l.call) {
		r.Lane, r.Seq = 0, 0
	}
	for _, f := range l.fields {
		r.Attrs = append(r.Attrs, slog.String(f.key, f.value))
	}
	w.o.OnLog(r)
	return nil
}

func (w *Worker) wantsLogs() bool { return w.o.OnLog != nil && w.o.LogLevel != nil }

// capabilities are the parts of the contract that a host with these options offers
// beside those that it always has.
func (o *Options) capabilities() (names []string, least workerv1.LogLevel) {
	if o.OnNested != nil {
		names = append(names, capabilityHostCall)
	}
	if o.OnShared != nil {
		names = append(names, capabilityShared)
	}
	if o.OnProgress != nil {
		names = append(names, capabilityProgress)
	}
	if o.OnLog != nil && o.LogLevel != nil {
		names = append(names, capabilityLog)
		least = leastLevel(*o.LogLevel)
	}
	return names, least
}

// leastLevel returns the lowest level on the wire at or above which lies what is to
// be logged.
func leastLevel(l slog.Level) workerv1.LogLevel {
	switch {
	case l <= slog.LevelDebug:
		return workerv1.LogLevel_LOG_LEVEL_DEBUG
	case l <= slog.LevelInfo:
		return workerv1.LogLevel_LOG_LEVEL_INFO
	case l <= slog.LevelWarn:
		return workerv1.LogLevel_LOG_LEVEL_WARN
	}
	return workerv1.LogLevel_LOG_LEVEL_ERROR
}
