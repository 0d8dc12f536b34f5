package procpooltest

import (
	"context"
	"log/slog"
	"time"

	"github.com/procpool/procpool"
)

// An attempt is also what its task can ask of its host.
var _ procpool.Host = (*attempt)(nil)

// Executor implements procpool.Host.
func (a *attempt) Executor() procpool.Executor { return nested{a} }

// nested is the executor in the hands of a running task.
type nested struct{ parent *attempt }

// Enqueue implements procpool.Executor. It does not block.
func (n nested) Enqueue(ctx context.Context, first *procpool.Call, count int) {
	n.parent.r.ex.enqueueAll(ctx, first, count, n.parent)
}

// Report implements procpool.Host.
func (a *attempt) Report(fraction float64, text string) {
	if a.ctx.Err() == nil {
		a.r.call.NoteProgress(procpool.Progress{Fraction: fraction, Text: text, Time: time.Now()})
	}
}

// LogHandler implements procpool.Host.
func (a *attempt) LogHandler() slog.Handler {
	return slog.Default().Handler().WithAttrs([]slog.Attr{
		slog.String("task", a.r.call.Task()), slog.Int("call", a.r.number), slog.Int("attempt", a.number),
	})
}
