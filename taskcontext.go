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
