package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The hot messages are written and read by hand. Their fields, as in
// proto/procpool/worker/v1/worker.proto; a tag is number<<3 | wire type.
const (
	wireVarint = 0
	wireBytes  = 2

	tagRequestTasks     = 1<<3 | wireBytes
	tagRequestValues    = 3<<3 | wireBytes
	tagRequestCredits   = 4<<3 | wireBytes
	tagRequestReplies   = 6<<3 | wireBytes
	tagTaskSeq          = 1<<3 | wireVarint
	tagTaskLane         = 2<<3 | wireVarint
	tagTaskFunction     = 3<<3 | wireVarint
	tagTaskCodec        = 4<<3 | wireBytes
	tagTaskInline       = 5<<3 | wireBytes
	tagTaskSegment      = 6<<3 | wireBytes
	tagTaskSizes        = 7<<3 | wireBytes
	tagTaskSize         = 7<<3 | wireVarint // item_sizes, not packed
	tagTaskTimeout      = 8<<3 | wireVarint
	tagTaskMetadata     = 9<<3 | wireBytes
	tagTaskCredit       = 10<<3 | wireVarint
	tagTaskStreams      = 11<<3 | wireVarint
	tagTaskMethod       = 12<<3 | wireVarint
	tagTaskAttempt      = 13<<3 | wireVarint
	tagTaskCreditBytes  = 14<<3 | wireVarint
	tagTaskActor        = 15<<3 | wireVarint
	tagEntryKey         = 1<<3 | wireBytes
	tagEntryValue       = 2<<3 | wireBytes
	tagResponseOutcomes = 1<<3 | wireBytes
	tagResponseValues   = 2<<3 | wireBytes
	tagResponseCredits  = 3<<3 | wireBytes
	tagResponseProgress = 4<<3 | wireBytes
	tagResponseLogs     = 5<<3 | wireBytes
	tagResponseCalls    = 6<<3 | wireBytes
	tagResponseCancels  = 7<<3 | wireBytes
	tagResponseOpening  = 15<<3 | wireBytes
	tagOutcomeSeq       = 1<<3 | wireVarint
	tagOutcomeLane      = 2<<3 | wireVarint
	tagOutcomeRun       = 3<<3 | wireVarint
	tagOutcomeInline    = 4<<3 | wireBytes
	tagOutcomeSegment   = 5<<3 | wireBytes
	tagOutcomeFailure   = 6<<3 | wireBytes
	tagOutcomeDeclined  = 7<<3 | wireBytes
)

const (
	// ownMemory is the size from which a payload is neither copied into a
	// batch nor shares memory with its neighbours.
	ownMemory = 16 << 10
	// maxElements is how many elements one message may hold. It bounds what a
	// hostile message makes its reader allocate: an element of a few bytes
	// decodes to a structure of many.
	maxElements = 1 << 16
)

var (
	errTruncated = errors.New("the message ends in the middle of a field")
	errNoSeq     = errors.New("the message holds an element without a sequence number")
	errTooMany   = fmt.Errorf("the message holds more than %d elements", maxElements)
	errSegment   = errors.New("the message refers to a shared-memory segment, which was not agreed on")
	errItemSizes = errors.New("the item sizes of a pack don't add up to its payload")
)

// consumeVarint reads a varint from the start of b. Its length is negative when
// b is malformed. Most varints here are one byte long.
func consumeVarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

// consumeBytes reads a length and as many bytes from the start of b. The count
// of bytes read is negative when b is malformed.
func consumeBytes(b []byte) ([]byte, int) {
	size, n := consumeVarint(b)
	if n < 0 {
		return nil, n
	}
	if size > uint64(len(b)-n) {
		return nil, -1
	}
	end := n + int(size)
	return b[n:end:end], end
}

// shortElement reads an element of less than 128 bytes, if the next field of a message
// is one of the list with that tag: its body, and the bytes that it takes, else 0. It
// is what nearly all fields of nearly all messages are.
func shortElement(data []byte, list byte) (body []byte, n int) {
	if len(data) > 1 && data[0] == list && data[1] < 0x80 {
		if end := 2 + int(data[1]); end <= len(data) {
			return data[2:end:end], end
		}
	}
	return nil, 0
}

// nextField reads the next field of a message that is a list of elements: its tag,
// the n bytes that it takes, and its body if it has one.
func nextField(data []byte) (tag uint64, body []byte, n int, err error) {
	tag, n = consumeVarint(data)
	if n < 0 {
		return tag, nil, 0, errTruncated
	}
	if tag&7 != wireBytes {
		size, err := skipField(tag, data[n:])
		return tag, nil, n + size, err
	}
	if err := checkTag(tag); err != nil {
		return tag, nil, 0, err
	}
	body, size := consumeBytes(data[n:])
	if size < 0 {
		return tag, nil, 0, errTruncated
	}
	return tag, body, n + size, nil
}

// checkTag tells whether a field that is not known may have this tag.
func checkTag(tag uint64) error {
	num, typ := protowire.DecodeTag(tag)
	if num < protowire.MinValidNumber {
		return errors.New("the message holds a field number that protobuf does not allow")
	}
	switch typ {
	case protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType:
		return nil
	}
	return errors.New("the message holds a wire type that proto3 does not have")
}

// skipField returns the length of the value of a field that is not known.
func skipField(tag uint64, b []byte) (int, error) {
	if err := checkTag(tag); err != nil {
		return 0, err
	}
	num, typ := protowire.DecodeTag(tag)
	n := protowire.ConsumeFieldValue(num, typ, b)
	if n < 0 {
		return 0, errTruncated
	}
	return n, nil
}

// closeLength writes the length of the message that begins behind dst[at], for
// which one byte was reserved there, and moves the message where that is not
// enough. extra bytes of the message follow that are not in dst.
func closeLength(dst []byte, at, extra int) []byte {
	body := len(dst) - at - 1
	size := uint64(body + extra)
	if size < 0x80 {
		dst[at] = byte(size)
		return dst
	}
	var length [10]byte
	n := len(protowire.AppendVarint(length[:0], size))
	dst = append(dst, length[1:n]...) // any n-1 bytes: they make room
	copy(dst[at+n:], dst[at+1:at+1+body])
	copy(dst[at:], length[:n])
	return dst
}
