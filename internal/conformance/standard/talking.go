package standard

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/procpool/procpool"
)

type known struct {
	SecondsLeft *float64          `cbor:"seconds_left" json:"seconds_left"`
	Attempt     int               `cbor:"attempt" json:"attempt"`
	Metadata    map[string]string `cbor:"metadata" json:"metadata"`
}

type report struct {
	Done    float64 `cbor:"done" json:"done"`
	Total   float64 `cbor:"total" json:"total"`
	Message string  `cbor:"message" json:"message"`
}

type logLine struct {
	Level   string            `cbor:"level" json:"level"`
	Message string            `cbor:"message" json:"message"`
	Fields  map[string]string `cbor:"fields" json:"fields"`
}

// request is a call that a function makes of its own pool.
type request struct {
	Name     string `cbor:"name" json:"name"`
	Argument any    `cbor:"argument" json:"argument"`
	Leave    bool   `cbor:"leave" json:"leave"`
	Take     int    `cbor:"take" json:"take"`
	Send     []any  `cbor:"send" json:"send"`
}

// talking lists the functions that ask and tell their host.
func talking() []procpool.Task {
	return []procpool.Task{
		procpool.Define("context", func(ctx context.Context, _ nothing) (known, error) {
			k := known{Attempt: procpool.AttemptFrom(ctx), Metadata: map[string]string{}}
			maps.Copy(k.Metadata, procpool.MetadataFrom(ctx))
			if deadline, ok := ctx.Deadline(); ok {
				left := time.Until(deadline).Seconds()
				k.SecondsLeft = &left
			}
			return k, nil
		}),
		procpool.Define("progress", func(ctx context.Context, reports []report) (nothing, error) {
			for _, r := range reports {
				procpool.Report(ctx, r.Done/r.Total, r.Message)
			}
			return nil, nil
		}),
		procpool.Define("log", logLines),
		procpool.Define("call", call),
		procpool.Define("call_stream", callStream),
		procpool.Define("call_session", callSession),
	}
}

func logLines(ctx context.Context, lines []logLine) (nothing, error) {
	logger := procpool.Logger(ctx)
	for _, l := range lines {
		var level slog.Level
		if err := level.UnmarshalText([]byte(l.Level)); err != nil {
			return nil, fmt.Errorf("log has no level %q: %w", l.Level, err)
		}
		var attrs []slog.Attr
		for _, name := range slices.Sorted(maps.Keys(l.Fields)) {
			attrs = append(attrs, slog.String(name, l.Fields[name]))
		}
		logger.LogAttrs(ctx, level, l.Message, attrs...)
	}
	return nil, nil
}

func call(ctx context.Context, r request) (map[string]any, error) {
	f := procpool.Remote[any, any](r.Name).Submit(ctx, procpool.ExecutorFrom(ctx), r.Argument)
	if r.Leave {
		return map[string]any{"value": nil}, nil
	}
	v, err := f.Result(ctx)
	if err != nil {
		return map[string]any{"error": err.Error()}, nil //nolint:nilerr // the error is the result
	}
	return map[string]any{"value": v}, nil
}

func callStream(ctx context.Context, r request) ([]any, error) {
	values := []any{}
	if r.Take == 0 {
		return values, nil
	}
	for v, err := range procpool.RemoteStream[any, any](r.Name).All(ctx, procpool.ExecutorFrom(ctx), r.Argument) {
		if err != nil {
			return nil, err
		}
		if values = append(values, v); len(values) == r.Take {
			break
		}
	}
	return values, nil
}

func callSession(ctx context.Context, r request) ([]any, error) {
	talk := procpool.RemoteSession[any, any, any](r.Name).Open(ctx, procpool.ExecutorFrom(ctx), r.Argument)
	defer talk.Close()
	var sending sync.WaitGroup
	sending.Go(func() {
		defer talk.CloseSend()
		for _, v := range r.Send {
			if talk.Send(ctx, v) != nil {
				return // the session has ended, how is for the other side to tell
			}
		}
	})
	defer sending.Wait()
	values := []any{}
	for v, err := range talk.All(ctx) {
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
