package wire //nolint:testpackage // tests what is not exported

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// captured is a work stream that keeps what a worker sends.
type captured struct {
	grpc.ServerStream
	mu   sync.Mutex
	sent []*workerv1.WorkResponse
}

func (c *captured) SendMsg(m any) error {
	response := new(workerv1.WorkResponse)
	r, ok := m.(*workResponse)
	if !ok {
		return fmt.Errorf("a %T is sent", m)
	}
	if err := proto.Unmarshal(r.marshal(newBufferPool()).Materialize(), response); err != nil {
		return fmt.Errorf("protobuf can't read what is sent: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, response)
	return nil
}

// take returns what was sent since it was called last.
func (c *captured) take() []*workerv1.WorkResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

// runningCall returns the context of a call that runs in a worker whose host offers
// all there is, and what it sends.
func runningCall(t *testing.T, o offers) (*callContext, *captured) {
	t.Helper()
	stream := new(captured)
	s := &server{offers: o, stream: stream, gone: make(chan struct{})}
	s.conn.Store(new(pollConn))
	s.recorder = newLocalRecorder(4)
	t.Cleanup(func() { _ = s.recorder.close() })
	l := newLane(s, 3)
	call := &callContext{seq: 7, lane: l}
	l.call.Store(call)
	return call, stream
}

func TestReportsAreThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call, stream := runningCall(t, offers{progress: true})
		var got []string
		take := func(after time.Duration) {
			<-time.After(after)
			synctest.Wait()
			for _, r := range stream.take() {
				for _, p := range r.GetProgress() {
					if p.GetSeq() != 7 || p.GetLane() != 3 || p.GetTotal() != 1 {
						t.Errorf("sent %v", p)
					}
					got = append(got, p.GetMessage())
				}
			}
		}
		report := func(text string) { procpool.Report(call, 0.5, text) }
		want := func(texts ...string) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(texts) {
				t.Errorf("sent %v, want %v", got, texts)
			}
			got = nil
		}
		report("at once")
		take(0)
		want("at once")
		report("kept")
		report("the last")
		take(reportEvery - 1)
		want()
		take(1)
		want("the last")
		take(reportEvery)
		want()
		report("at once again")
		report("kept again")
		take(0)
		want("at once again")
		take(reportEvery / 2)
		report("kept, too")
		take(reportEvery / 2)
		want("kept, too")
		report("before the end")
		call.close()
		take(0)
		want("before the end")
		report("behind the end")
		take(time.Hour)
		want()
	})
}

// A host that has not asked for it is told nothing.
func TestReportsNotOffered(t *testing.T) {
	t.Parallel()
	call, stream := runningCall(t, offers{})
	procpool.Report(call, 0.5, "text")
	logger := procpool.Logger(call)
	logger.Error("text")
	if logger.Enabled(call, slog.LevelError) {
		t.Error("a level is enabled that nobody wants")
	}
	if _, err := procpool.Remote[int, int]("asked").Call(context.Background(), procpool.ExecutorFrom(call), 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	call.close()
	if sent := stream.take(); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

func TestLogHandler(t *testing.T) {
	t.Parallel()
	call, stream := runningCall(t, offers{log: workerv1.LogLevel_LOG_LEVEL_DEBUG})
	handler := procpool.Logger(call).Handler()
	err := slogtest.TestHandler(handler, func() (results []map[string]any) {
		for _, r := range stream.take() {
			for _, l := range r.GetLogs() {
				results = append(results, nest(l))
			}
		}
		return results
	})
	if err != nil {
		t.Error(err)
	}
}

// nest returns a log line as slogtest wants it, with groups as maps.
func nest(l *workerv1.Log) map[string]any {
	result := map[string]any{slog.MessageKey: l.GetMessage(), slog.LevelKey: l.GetLevel()}
	if l.GetTimeUnixNanos() != 0 {
		result[slog.TimeKey] = l.GetTimeUnixNanos()
	}
	for key, value := range l.GetFields() {
		at := result
		groups := strings.Split(key, ".")
		for _, g := range groups[:len(groups)-1] {
			group, ok := at[g].(map[string]any)
			if !ok {
				group = make(map[string]any)
				at[g] = group
			}
			at = group
		}
		at[groups[len(groups)-1]] = value
	}
	return result
}

// panics is a value that can't be shown.
type panics struct{}

func (panics) String() string { panic("no") }

type resolves struct{ to any }

func (r resolves) LogValue() slog.Value { return slog.AnyValue(r.to) }

func TestLogValues(t *testing.T) {
	t.Parallel()
	call, stream := runningCall(t, offers{log: workerv1.LogLevel_LOG_LEVEL_WARN})
	logger := procpool.Logger(call)
	logger.Warn("m", "a", resolves{resolves{7}}, "b", panics{}, "c", errors.New("no"), "d", []byte("x"), "e", time.Unix(1, 5).UTC(), "f", 1.5,
		"g", resolves{slog.GroupValue(slog.Int("h", 1), slog.Group("", slog.Int("i", 2)))}, "\xff", "\xff", "j", nil)
	if logger.Enabled(call, slog.LevelInfo) || logger.Enabled(call, slog.LevelWarn-1) || !logger.Enabled(call, slog.LevelError) {
		t.Error("the level is not the host's")
	}
	call.close()
	logger.Error("behind the end")
	if logger.Enabled(call, slog.LevelError) {
		t.Error("a call that has ended may log")
	}
	sent := stream.take()
	if len(sent) != 1 {
		t.Fatalf("sent %v", sent)
	}
	fields := sent[0].GetLogs()[0].GetFields()
	for key, want := range map[string]string{
		"a": "7", "c": "no", "d": "[120]", "e": "1970-01-01T00:00:01.000000005Z", "f": "1.5", "g.h": "1", "g.i": "2", "\uFFFD": "\uFFFD", "j": "<nil>",
	} {
		if fields[key] != want {
			t.Errorf("%q is %q, want %q", key, fields[key], want)
		}
	}
	if len(fields) != 10 || !strings.Contains(fields["b"], "PANIC") {
		t.Errorf("got %q", fields)
	}
}
