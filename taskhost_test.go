package procpool_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/procpool/procpool"
)

// host is what a task can ask, in the hands of a test.
type host struct {
	ex        procpool.Executor
	log       slog.Handler
	fractions []float64
	texts     []string
}

func (h *host) Executor() procpool.Executor { return h.ex }
func (h *host) LogHandler() slog.Handler    { return h.log }
func (h *host) Report(fraction float64, text string) {
	h.fractions, h.texts = append(h.fractions, fraction), append(h.texts, text)
}

func TestOutsideOfATask(t *testing.T) {
	ctx := t.Context()
	_, err := square.Call(ctx, procpool.ExecutorFrom(ctx), 1)
	if err == nil || !strings.Contains(err.Error(), "belongs to no running task") {
		t.Errorf("ExecutorFrom: %v", err)
	}
	var failed int
	for _, err := range square.Map(ctx, procpool.ExecutorFrom(ctx), slices.Values(upTo(3))) {
		if err != nil {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("%d of 3 items failed", failed)
	}
	talk := echo.Open(ctx, procpool.ExecutorFrom(ctx), "")
	if err := talk.Close(); err == nil {
		t.Error("a session is opened where there is no task")
	}
	procpool.Report(ctx, 0.5, "nobody hears it")
	log := captureLog(t)
	procpool.Logger(ctx).Info("said outside")
	if !strings.Contains(log.String(), "said outside") {
		t.Errorf("the log has %q", log)
	}
}

func TestInsideOfATask(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	h := &host{ex: instant{}, log: slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})}
	ctx := context.WithValue(t.Context(), procpool.HostKey(), h)
	if procpool.ExecutorFrom(ctx) != (instant{}) {
		t.Error("ExecutorFrom is not the host's")
	}
	logger := procpool.Logger(ctx)
	logger.Info("too small")
	logger.Warn("large enough")
	if got := log.String(); strings.Contains(got, "too small") || !strings.Contains(got, "large enough") {
		t.Errorf("the log has %q", got)
	}
	for _, f := range []float64{-1, 0, 0.25, 1, 7, math.NaN(), math.Inf(1), math.Inf(-1)} {
		procpool.Report(ctx, f, "")
	}
	if want := []float64{0, 0, 0.25, 1, 1, 0, 1, 0}; !slices.Equal(h.fractions, want) {
		t.Errorf("reported %v, want %v", h.fractions, want)
	}
	h.texts = nil
	procpool.Report(ctx, 0, "half \xff way")
	procpool.Report(ctx, 0, strings.Repeat("é", 40<<10))
	if h.texts[0] != "half  way" {
		t.Errorf("text %q", h.texts[0])
	}
	if n := len(h.texts[1]); n != 64<<10 || strings.Trim(h.texts[1], "é") != "" {
		t.Errorf("a text of 80 KiB comes as %d bytes", n)
	}
}

func TestNestingError(t *testing.T) {
	t.Parallel()
	err := procpool.NestingError("leaf", "it would be nested more than 3 deep")
	if !errors.Is(err, procpool.ErrNestingLimit) || !strings.Contains(err.Error(), `task "leaf" was not called: it would be nested more than 3 deep`) {
		t.Errorf("%v", err)
	}
}
