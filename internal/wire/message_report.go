package wire

import (
	"encoding/binary"
	"log/slog"
	"math"
	"time"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// The fields of a Progress and a Log, see message.go.
const (
	wireFixed64 = 1

	tagProgressSeq     = 1<<3 | wireVarint
	tagProgressLane    = 2<<3 | wireVarint
	tagProgressDone    = 3<<3 | wireFixed64
	tagProgressTotal   = 4<<3 | wireFixed64
	tagProgressMessage = 5<<3 | wireBytes

	tagLogLevel   = 1<<3 | wireVarint
	tagLogMessage = 2<<3 | wireBytes
	tagLogFields  = 3<<3 | wireBytes
	tagLogSeq     = 4<<3 | wireVarint
	tagLogLane    = 5<<3 | wireVarint
	tagLogTime    = 6<<3 | wireVarint
)

// progress is how far a call says that it has come.
type progress struct {
	call     callKey
	fraction float64 // between 0 and 1
	text     string
}

// append appends the fields of a Progress to dst.
func (p *progress) append(dst []byte) []byte {
	dst = appendNumber(dst, tagProgressSeq, p.call.seq)
	dst = appendNumber(dst, tagProgressLane, uint64(p.call.lane))
	dst = appendDouble(dst, tagProgressDone, p.fraction)
	dst = appendDouble(dst, tagProgressTotal, 1)
	return appendText(dst, tagProgressMessage, p.text)
}

func appendDouble(dst []byte, tag byte, v float64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(append(dst, tag), math.Float64bits(v))
}

// parse decodes the fields of a Progress.
func (p *progress) parse(data []byte) error {
	var done, total float64
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return err
		}
		switch f.tag {
		case tagProgressSeq:
			p.call.seq = f.number
		case tagProgressLane:
			p.call.lane = uint32(f.number)
		case tagProgressDone:
			done = lastDouble(data, rest)
		case tagProgressTotal:
			total = lastDouble(data, rest)
		case tagProgressMessage:
			p.text = f.text()
		}
		data = rest
	}
	p.fraction = fractionOf(done, total)
	return nil
}

// lastDouble returns the value of the fixed field at the start of data, behind which
// rest lies.
func lastDouble(data, rest []byte) float64 {
	end := len(data) - len(rest)
	return math.Float64frombits(binary.LittleEndian.Uint64(data[end-8 : end]))
}

// fractionOf returns which part of total is done, 0 where the two don't say.
func fractionOf(done, total float64) float64 {
	part := done / total
	if math.IsNaN(part) || total <= 0 {
		return 0
	}
	return min(max(part, 0), 1)
}

// maxLogFields is how many fields of a log record are kept.
const maxLogFields = 128

// logLine is a record for the host's log.
type logLine struct {
	call    callKey
	level   workerv1.LogLevel
	time    time.Time
	message string
	fields  []logField
}

// logField is a name and a value. One that is made in the worker is cut there.
type logField struct{ key, value string }

// append appends the fields of a Log to dst. Beyond maxFailureText bytes in all, and
// maxLogFields fields, the rest is cut.
func (l *logLine) append(dst []byte) []byte {
	dst = appendNumber(dst, tagLogLevel, uint64(l.level))
	dst = appendText(dst, tagLogMessage, l.message)
	left := maxFailureText - len(l.message)
	for _, f := range l.fields[:min(len(l.fields), maxLogFields)] {
		if left -= len(f.key) + len(f.value); left < 0 {
			break
		}
		dst = appendEntry(dst, tagLogFields, f.key, f.value)
	}
	dst = appendNumber(dst, tagLogSeq, l.call.seq)
	dst = appendNumber(dst, tagLogLane, uint64(l.call.lane))
	if !l.time.IsZero() {
		dst = appendNumber(dst, tagLogTime, uint64(max(l.time.UnixNano(), 0)))
	}
	return dst
}

// parse decodes the fields of a Log.
func (l *logLine) parse(data []byte) error {
	left := maxFailureText
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return err
		}
		data = rest
		switch f.tag {
		case tagLogLevel:
			l.level = workerv1.LogLevel(min(f.number, math.MaxInt32))
		case tagLogMessage:
			l.message = f.text()
		case tagLogFields:
			key, value, err := parseEntry(f.body)
			if err != nil {
				return err
			}
			if left -= len(key) + len(value); left >= 0 && len(l.fields) < maxLogFields {
				l.fields = append(l.fields, logField{cutText(string(key)), cutText(string(value))})
			}
		case tagLogSeq:
			l.call.seq = f.number
		case tagLogLane:
			l.call.lane = uint32(f.number)
		case tagLogTime:
			l.time = time.Time{}
			if f.number > 0 {
				l.time = time.Unix(0, int64(min(f.number, math.MaxInt64)))
			}
		}
	}
	return nil
}

// wireLevel returns the level of a record on the wire, slogLevel the way back.
func wireLevel(l slog.Level) workerv1.LogLevel {
	switch {
	case l < slog.LevelInfo:
		return workerv1.LogLevel_LOG_LEVEL_DEBUG
	case l < slog.LevelWarn:
		return workerv1.LogLevel_LOG_LEVEL_INFO
	case l < slog.LevelError:
		return workerv1.LogLevel_LOG_LEVEL_WARN
	}
	return workerv1.LogLevel_LOG_LEVEL_ERROR
}

func slogLevel(l workerv1.LogLevel) slog.Level {
	switch l {
	case workerv1.LogLevel_LOG_LEVEL_DEBUG:
		return slog.LevelDebug
	case workerv1.LogLevel_LOG_LEVEL_WARN:
		return slog.LevelWarn
	case workerv1.LogLevel_LOG_LEVEL_ERROR:
		return slog.LevelError
	case workerv1.LogLevel_LOG_LEVEL_UNSPECIFIED, workerv1.LogLevel_LOG_LEVEL_INFO:
	}
	return slog.LevelInfo
}
