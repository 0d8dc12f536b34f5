package procpool

import "context"

type metadataKey struct{}

// MetadataFrom returns the metadata of the call that ctx belongs to, as the
// caller set it with [Metadata]; nil when there is none. The map must not be
// modified.
func MetadataFrom(ctx context.Context) map[string]string {
	m, _ := ctx.Value(metadataKey{}).(map[string]string)
	return m
}

// WithMetadata returns a context from which [MetadataFrom] reads m. Executors
// and workers use it to run a task.
func WithMetadata(ctx context.Context, m map[string]string) context.Context {
	if len(m) == 0 {
		return ctx
	}
	return context.WithValue(ctx, metadataKey{}, m)
}

type attemptKey struct{}

// AttemptFrom returns which attempt of its call ctx belongs to: 1 the first time,
// more when the call is run again (see [Retries]).
func AttemptFrom(ctx context.Context) int {
	if n, ok := ctx.Value(attemptKey{}).(int); ok {
		return n
	}
	return 1
}

// WithAttempt returns a context from which [AttemptFrom] reads n. Executors and
// workers use it to run a task; the first attempt needs none.
func WithAttempt(ctx context.Context, n int) context.Context {
	if n <= 1 {
		return ctx
	}
	return context.WithValue(ctx, attemptKey{}, n)
}
