//go:build unix

package wire_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// told collects what the calls of a worker tell while they run.
type told struct {
	mu       sync.Mutex
	progress []procpool.Progress
	records  []wire.LogRecord
	order    []string
}

func (r *told) onProgress(lane uint32, seq uint64, p procpool.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, p)
	r.order = append(r.order, fmt.Sprintf("progress of %d/%d: %v", lane, seq, p.Fraction))
}

func (r *told) onLog(l wire.LogRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, l)
	r.order = append(r.order, fmt.Sprintf("log of %d/%d: %s", l.Lane, l.Seq, l.Message))
}

// startTold starts a worker that is listened to.
func startTold(t *testing.T, level slog.Level, change ...func(*wire.Options)) (*testHost, *told) {
	t.Helper()
	r := new(told)
	h := start(t, append([]func(*wire.Options){func(o *wire.Options) {
		o.OnProgress, o.OnLog, o.LogLevel = r.onProgress, r.onLog, &level
		onReplies := o.OnReplies
		o.OnReplies = func(replies []wire.Reply) {
			r.mu.Lock()
			for _, reply := range replies {
				r.order = append(r.order, fmt.Sprintf("reply to %d/%d", reply.Lane, reply.Seq))
			}
			r.mu.Unlock()
			onReplies(replies)
		}
	}}, change...)...)
	return h, r
}

// Of many reports few are sent, and the last one is there before the result.
func TestReport(t *testing.T) {
	h, r := startTold(t, slog.LevelInfo)
	began := time.Now()
	const count = 100_000
	mustResult(t, reports.Submit(t.Context(), h, count))
	took := time.Since(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.progress); n < 2 || time.Duration(n-2)*10*time.Millisecond > took {
		t.Errorf("in %v came %d reports", took, n)
	}
	last := r.progress[len(r.progress)-1]
	if first := r.progress[0]; first.Fraction != 1.0/count || first.Text != "step 1" {
		t.Errorf("the first report is %+v", first)
	}
	if last.Fraction != 1 || last.Text != fmt.Sprint("step ", count) || last.Time.Before(began) {
		t.Errorf("the last report is %+v", last)
	}
	if end := r.order[len(r.order)-2:]; !slices.Equal(end, []string{"progress of 0/1: 1", "reply to 0/1"}) {
		t.Errorf("in the end came %v", end)
	}
}

// What is reported shortly after another report is sent though no further one comes.
func TestReportIsNotHeldBack(t *testing.T) {
	h, r := startTold(t, slog.LevelInfo)
	f := reportsAndWaits.Submit(t.Context(), h, 0)
	if !eventually(func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.progress) == 2
	}) {
		t.Fatal("the second report does not come")
	}
	if p := r.progress[1]; p.Fraction != 0.5 || len(p.Text) > 64<<10 || !strings.HasPrefix(p.Text, "äää") || !utf8.ValidString(p.Text) {
		t.Errorf("%v with a text of %d bytes came", p.Fraction, len(p.Text))
	}
	h.worker.Cancel(0, 1)
	mustResult(t, f)
}

// Nobody who has not asked is told anything.
func TestReportToNobody(t *testing.T) {
	h := start(t)
	mustResult(t, reports.Submit(t.Context(), h, 10))
	mustResult(t, logs.Submit(t.Context(), h, 10))
}

func TestLog(t *testing.T) {
	began := time.Now()
	for least, want := range map[slog.Level][]slog.Level{
		slog.LevelDebug - 1: {slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError},
		slog.LevelInfo:      {slog.LevelInfo, slog.LevelWarn, slog.LevelError},
		slog.LevelInfo + 1:  {slog.LevelWarn, slog.LevelError},
		slog.LevelError:     {slog.LevelError},
	} {
		h, r := startTold(t, least)
		mustResult(t, logs.Submit(t.Context(), h, 7))
		r.mu.Lock()
		var levels []slog.Level
		for _, l := range r.records {
			levels = append(levels, l.Level)
			attrs := []slog.Attr{slog.String("n", "7"), slog.String("g.took", "1.5s"), slog.String("g.h.k", "v")}
			if l.Message != "a "+l.Level.String() || l.Lane != 0 || l.Seq != 1 || l.Time.Before(began) || time.Since(l.Time) < 0 ||
				!slices.EqualFunc(l.Attrs, attrs, slog.Attr.Equal) {
				t.Errorf("from %v: %+v", least, l)
			}
		}
		if !slices.Equal(levels, want) || r.order[len(r.order)-1] != "reply to 0/1" {
			t.Errorf("from %v came %v", least, r.order)
		}
		r.mu.Unlock()
	}
}

func TestLogIsBounded(t *testing.T) {
	h, r := startTold(t, slog.LevelInfo)
	mustResult(t, logsMuch.Submit(t.Context(), h, 7))
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) != 2 {
		t.Fatalf("%d records came", len(r.records))
	}
	if m := r.records[0].Message; len(m) > 64<<10 || !strings.HasPrefix(m, "\uFFFD") {
		t.Errorf("a message of %d bytes came", len(m))
	}
	if l := r.records[1]; len(l.Attrs) < 50 || len(l.Attrs) > 128 || l.Attrs[0].Key != "k0" || len(l.Attrs[0].Value.String()) != 1000 {
		t.Errorf("%d fields came", len(l.Attrs))
	}
}
