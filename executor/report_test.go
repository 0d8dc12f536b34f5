package executor_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// What a task reports is there before its result: in the future's Info, and for
// OnEvent, with what tells whose it is.
func TestReports(t *testing.T) {
	var (
		mu     sync.Mutex
		events []executor.Event
	)
	pool := newPool(t, executor.Config{Workers: 1, Logger: slog.New(slog.DiscardHandler), OnEvent: func(e executor.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == executor.TaskProgress {
			events = append(events, e)
		}
	}})
	for range 20 {
		f := reports.Submit(t.Context(), pool, reporting{N: 500})
		if _, err := result(t, f); err != nil {
			t.Fatal(err)
		}
		info := f.Info()
		if p := info.Progress; p.Fraction != 1 || p.Text != "step 500" || p.Time.IsZero() {
			t.Errorf("the last report is not there with the result: %+v", info)
		}
		heard := func() (last executor.Event) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if e.Call == info.Call {
					last = e
				}
			}
			return last
		}
		eventually(t, "the last report is heard", func() bool { return heard().Progress.Text == "step 500" })
		if e := heard(); e.Task != "reports" || e.Worker != info.Worker || e.PID != info.PID || e.Attempt != 1 || e.Kind.String() != "task progress" {
			t.Errorf("%+v, and the call is %+v", e, info)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if n := len(events); n > 20*500/5 {
		t.Errorf("%d of 10000 reports were heard one by one", n)
	}
}

// A report is there while its task goes on.
func TestReportWhileItRuns(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Logger: slog.New(slog.DiscardHandler)})
	gate := filepath.Join(t.TempDir(), "gate")
	f := reports.Submit(t.Context(), pool, reporting{N: 4, Gate: gate})
	eventually(t, "the last report is there", func() bool { return f.Info().Progress.Text == "step 4" })
	open(t, gate)
	if _, err := result(t, f); err != nil {
		t.Error(err)
	}
}

// What a task logs reaches the pool's logger with what tells whose it is, before its
// result, and only what the logger wants.
func TestLogs(t *testing.T) {
	var out lockedBuffer
	pool := newPool(t, executor.Config{Workers: 1, Logger: slog.New(slog.NewJSONHandler(&out, nil))})
	f := reports.Submit(t.Context(), pool, reporting{N: 3}, procpool.Metadata(map[string]string{"tenant": "acme"}))
	if _, err := result(t, f); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	records := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(records) != 2 {
		t.Fatalf("%q", records)
	}
	var first, second map[string]any
	for i, r := range []*map[string]any{&first, &second} {
		if err := json.Unmarshal([]byte(records[i]), r); err != nil {
			t.Fatal(err)
		}
	}
	info := f.Info()
	for key, want := range map[string]any{
		"msg": "half way", "level": "INFO", "task": "reports", "worker": float64(info.Worker), "call": float64(info.Call), "attempt": 1.0,
		"step": "3", "tenant": "acme",
	} {
		if first[key] != want {
			t.Errorf("%s is %v, want %v, in %s", key, first[key], want, records[0])
		}
	}
	if second["level"] != "WARN" || second["disk.left"] != "1 GiB" {
		t.Errorf("%s", records[1])
	}
	if s := pool.Stats(); s.LogsDropped != 0 {
		t.Errorf("%+v", s)
	}
}

// A logger that hangs holds up neither tasks nor the pool.
func TestLoggerHangs(t *testing.T) {
	release := make(chan struct{})
	pool := newPool(t, executor.Config{Workers: 1, Logger: slog.New(slog.NewTextHandler(blockedWriter{release}, nil))})
	for range 600 {
		if _, err := reports.Call(t.Context(), pool, reporting{N: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if s := pool.Stats(); s.LogsDropped == 0 {
		t.Errorf("%+v", s)
	}
	close(release)
}

// blockedWriter blocks until it is released.
type blockedWriter struct{ release chan struct{} }

func (w blockedWriter) Write(p []byte) (int, error) {
	<-w.release
	return len(p), nil
}
