package wire

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec is the gRPC codec of both sides: plain protobuf on the wire, so that the
// peer may be anything, but the hot messages are encoded from and decoded
// into our own structures, without the generated types' allocations and copies.
// Everything else goes to gRPC's own codec. It is safe for concurrent use.
type codec struct {
	pool *bufferPool
	base encoding.CodecV2
}

var _ encoding.CodecV2 = codec{}

// newCodec returns the codec for one connection's side, for
// grpc.ForceCodecV2 and grpc.ForceServerCodecV2.
func newCodec(pool *bufferPool) encoding.CodecV2 {
	return codec{pool: pool, base: encoding.GetCodecV2(proto.Name)}
}

// Name returns "proto": that is what travels.
func (codec) Name() string { return proto.Name }

// Marshal encodes v. What it returns aliases the large payloads in v; the rest
// is copied, so that v's other memory is free for reuse at once.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *workRequest:
		return m.marshal(c.pool), nil
	case *postedRequest:
		return m.marshal(c.pool), nil
	case *workResponse:
		return m.marshal(c.pool), nil
	}
	return c.base.Marshal(v)
}

// Unmarshal decodes data into v.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *taskBatch:
		return m.unmarshal(data, c.pool)
	case *replyBatch:
		return m.unmarshal(data, c.pool)
	case *controlMessage:
		return m.unmarshal(data, c.pool)
	}
	return c.base.Unmarshal(data, v)
}
