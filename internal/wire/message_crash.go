package wire

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/procpool/procpool"
)

// The fields of a Crash, see message.go.
const (
	tagCrashWorker   = 1<<3 | wireVarint
	tagCrashPID      = 2<<3 | wireVarint
	tagCrashExitCode = 3<<3 | wireVarint
	tagCrashSignal   = 4<<3 | wireBytes
	tagCrashReason   = 5<<3 | wireBytes
	tagCrashOOM      = 6<<3 | wireVarint
	tagCrashMaxRSS   = 7<<3 | wireVarint
	tagCrashUser     = 8<<3 | wireVarint
	tagCrashSystem   = 9<<3 | wireVarint
	tagCrashStderr   = 10<<3 | wireBytes
	tagCrashAttempt  = 11<<3 | wireVarint
	tagCrashFinished = 12<<3 | wireVarint
	tagCrashSuspects = 13<<3 | wireVarint
	tagCrashHung     = 14<<3 | wireVarint
	tagCrashDir      = 15<<3 | wireBytes
)

// appendCrash appends the fields of a Crash to dst. The task's name is the
// Failure's.
func appendCrash(dst []byte, e *procpool.CrashError) []byte {
	dst = appendNumber(dst, tagCrashWorker, uint64(e.Worker))
	dst = appendNumber(dst, tagCrashPID, uint64(e.PID))
	dst = appendNumber(dst, tagCrashExitCode, uint64(e.ExitCode))
	dst = appendText(dst, tagCrashSignal, e.Signal)
	dst = appendText(dst, tagCrashReason, e.Reason)
	dst = appendNumber(dst, tagCrashOOM, uint64(e.OOM))
	dst = appendNumber(dst, tagCrashMaxRSS, uint64(max(e.MaxRSS, 0)))
	dst = appendNumber(dst, tagCrashUser, uint64(max(e.UserCPU, 0)))
	dst = appendNumber(dst, tagCrashSystem, uint64(max(e.SystemCPU, 0)))
	dst = appendText(dst, tagCrashStderr, cutFront(e.Stderr))
	dst = appendNumber(dst, tagCrashAttempt, uint64(e.Attempt))
	dst = appendFlag(dst, tagCrashFinished, e.Finished)
	dst = appendNumber(dst, tagCrashSuspects, uint64(e.Suspects))
	dst = appendFlag(dst, tagCrashHung, e.Hung)
	return appendText(dst, tagCrashDir, e.Dir)
}

// parseCrash decodes the fields of a Crash into e.
func parseCrash(e *procpool.CrashError, data []byte) error {
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return err
		}
		data = rest
		switch f.tag {
		case tagCrashWorker:
			e.Worker = f.count()
		case tagCrashPID:
			e.PID = f.count()
		case tagCrashExitCode:
			e.ExitCode = int(min(max(int64(f.number), math.MinInt32), math.MaxInt32))
		case tagCrashSignal:
			e.Signal = f.text()
		case tagCrashReason:
			e.Reason = f.text()
		case tagCrashOOM:
			e.OOM = procpool.OOM(min(f.number, uint64(procpool.OOMYes)))
		case tagCrashMaxRSS:
			e.MaxRSS = int64(min(f.number, math.MaxInt64))
		case tagCrashUser:
			e.UserCPU = nanos(f.number)
		case tagCrashSystem:
			e.SystemCPU = nanos(f.number)
		case tagCrashStderr:
			e.Stderr = f.text()
		case tagCrashAttempt:
			e.Attempt = f.count()
		case tagCrashFinished:
			e.Finished = f.number != 0
		case tagCrashSuspects:
			e.Suspects = f.count()
		case tagCrashHung:
			e.Hung = f.number != 0
		case tagCrashDir:
			e.Dir = f.text()
		}
	}
	return nil
}

// cutFront makes s valid UTF-8 and keeps no more than its end: of what a process
// printed, that is what tells why it died.
func cutFront(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxFailureText {
		return s
	}
	from := len(s) - maxFailureText
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return s[from:]
}
