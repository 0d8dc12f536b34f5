package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/cmd/procpool/internal/jsoncbor"
)

// A value is an argument, a result or what a stream carries, as people type and read
// it: JSON, or any bytes where the codec is raw. The codecs below turn it into what
// the task understands, so that no type of Go gets in between.
type value []byte

// chooseCodec returns the codec in which to call the task: the one that was asked for,
// else JSON, which leaves nothing to convert, else CBOR. A task that does not say what
// it accepts has the default.
func chooseCodec(task procpool.TaskInfo, asked string) (procpool.Codec, error) {
	codecs := []procpool.Codec{jsonCodec{}, cborCodec{}, bytesCodec{}}
	accepted := task.Codecs
	if len(accepted) == 0 {
		accepted = []string{procpool.CBOR.Name()}
	}
	for _, c := range codecs {
		if slices.Contains(accepted, c.Name()) && (asked == c.Name() || asked == "" && c.Name() != rawName) {
			return c, nil
		}
	}
	list := strings.Join(accepted, ", ")
	switch {
	case asked != "":
		return nil, wrongUse("task %q does not accept the codec %s but %s: ask for none, and the right one is chosen", task.Name, asked, list)
	case slices.Contains(accepted, rawName):
		return nil, wrongUse("task %q takes raw bytes only: call it with --raw", task.Name)
	}
	return nil, wrongUse("task %q accepts %s, which can't be made of JSON: only a program can call it", task.Name, list)
}

// rawName is the name of the codec of bytes as they are.
var rawName = procpool.Raw.Name()

// asValue returns the values that a codec here is given and fills.
func asValue(v any) (value, error) {
	if v, ok := v.(value); ok {
		return v, nil
	}
	return nil, fmt.Errorf("a %T is no value of this program", v)
}

func store(v any, data value) error {
	p, ok := v.(*value)
	if !ok {
		return fmt.Errorf("a %T is no value of this program", v)
	}
	*p = data
	return nil
}

// jsonCodec passes JSON as it is, and makes one line of what comes back.
type jsonCodec struct{}

func (jsonCodec) Name() string { return procpool.JSON.Name() }

func (jsonCodec) Append(dst []byte, v any) ([]byte, error) {
	text, err := asValue(v)
	return append(dst, text...), err
}

func (jsonCodec) Decode(data []byte, v any) error {
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil {
		return err
	}
	return store(v, line.Bytes())
}

// cborCodec makes CBOR of JSON and the other way round.
type cborCodec struct{}

func (cborCodec) Name() string { return procpool.CBOR.Name() }

func (cborCodec) Append(dst []byte, v any) ([]byte, error) {
	text, err := asValue(v)
	if err != nil {
		return dst, err
	}
	return jsoncbor.FromJSON(dst, text)
}

func (cborCodec) Decode(data []byte, v any) error {
	text, err := jsoncbor.ToJSON(nil, data)
	if err != nil {
		return err
	}
	return store(v, text)
}

// bytesCodec passes bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return procpool.Raw.Name() }

func (bytesCodec) Append(dst []byte, v any) ([]byte, error) {
	raw, err := asValue(v)
	return append(dst, raw...), err
}

func (bytesCodec) Decode(data []byte, v any) error { return store(v, bytes.Clone(data)) }
