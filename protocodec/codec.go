// Package protocodec is the codec for protocol buffer messages. It is a package
// of its own so that programs that don't use protobuf don't link it.
package protocodec

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
)

// Codec encodes and decodes protocol buffer messages. Its name on the wire is
// "proto". Argument and result must be pointers to generated messages:
//
//	var Resize = procpool.Define("resize",
//		func(ctx context.Context, in *imagepb.ResizeRequest) (*imagepb.ResizeResponse, error) { ... },
//		procpool.WithCodec(protocodec.Codec))
//
// A nil message crosses as an empty one. Anything else than a message fails the
// call with a *procpool.CodecError.
var Codec procpool.Codec = codec{}

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Append(dst []byte, v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return dst, fmt.Errorf("codec proto takes a pointer to a protobuf message, not %T", v)
	}
	out, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (codec) Decode(data []byte, v any) error {
	// v points to where the message's pointer goes.
	place := reflect.ValueOf(v)
	if place.Kind() != reflect.Pointer || place.IsNil() {
		return fmt.Errorf("codec proto decodes into a pointer, not %T", v)
	}
	place = place.Elem()
	if place.Kind() != reflect.Pointer || !place.Type().Implements(reflect.TypeFor[proto.Message]()) {
		return fmt.Errorf("codec proto yields a pointer to a generated protobuf message, not %s", place.Type())
	}
	fresh := reflect.New(place.Type().Elem())
	m, ok := reflect.TypeAssert[proto.Message](fresh)
	if !ok {
		return fmt.Errorf("codec proto can't make a new %s", place.Type())
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return err
	}
	place.Set(fresh)
	return nil
}
