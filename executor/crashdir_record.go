package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/procpool/procpool"
)

// The files of a crash folder.
const (
	recordFile      = "crash.json"
	argumentFile    = "argument"
	stderrFile      = "stderr"
	initializerFile = "initializer"
)

// crashFormat is the version of what crash folders hold. It grows when an older
// Replay could not run a newer crash again; fields may be added without.
const crashFormat = 1

// maxRecord bounds what Replay reads of a crash.json.
const maxRecord = 16 << 20

// crashRecord is crash.json: all that is known of a crash but the argument and the
// last words, which have files of their own. It has no environment, which is where
// secrets are. Durations are in nanoseconds.
type crashRecord struct {
	Format int       `json:"format"`
	Time   time.Time `json:"time"`

	recordedCall
	Attempt  int  `json:"attempt"`
	Finished bool `json:"finished"` // the function had returned

	Crash struct {
		Message   string        `json:"message"`
		Worker    int           `json:"worker"`
		PID       int           `json:"pid"`
		ExitCode  int           `json:"exit_code"`
		Signal    string        `json:"signal,omitempty"`
		Reason    string        `json:"reason"`
		OOM       string        `json:"oom"`
		MaxRSS    int64         `json:"max_rss_bytes"`
		UserCPU   time.Duration `json:"user_cpu_ns"`
		SystemCPU time.Duration `json:"system_cpu_ns"`
		Suspects  int           `json:"suspects"`
		Hung      bool          `json:"hung"`
	} `json:"crash"`

	Program struct {
		Self bool     `json:"self"` // the host's own program, run again
		Path string   `json:"path"`
		Args []string `json:"args"` // without the program's name
		Dir  string   `json:"dir,omitempty"`
	} `json:"program"`

	Config struct {
		MaxPayload       int64         `json:"max_payload_bytes"`
		MemoryLimit      int64         `json:"memory_limit_bytes,omitempty"`
		CPULimit         time.Duration `json:"cpu_limit_ns,omitempty"`
		OpenFiles        int           `json:"open_files,omitempty"`
		Nice             int           `json:"nice,omitempty"`
		ThreadsPerWorker int           `json:"threads_per_worker"`
		CancelGrace      time.Duration `json:"cancel_grace_ns"`
		StartTimeout     time.Duration `json:"start_timeout_ns"`
		InitTimeout      time.Duration `json:"init_timeout_ns"`
		HungAfter        time.Duration `json:"hung_after_ns"`
		AutoMTLS         bool          `json:"auto_mtls,omitempty"`
	} `json:"config"`

	Initializer *recordedCall `json:"initializer,omitempty"`
}

// recordedCall is a call but for its argument.
type recordedCall struct {
	Task     string            `json:"task"`
	Codec    string            `json:"codec"`
	Stream   bool              `json:"stream,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Timeout  time.Duration     `json:"timeout_ns,omitempty"`
	Size     int64             `json:"argument_bytes"`
}

func recordedCallOf(c *procpool.Call, size int) recordedCall {
	return recordedCall{
		Task: c.Task(), Codec: c.Codec(), Stream: c.Kind() == procpool.KindStream,
		Metadata: c.Metadata(), Timeout: c.Timeout(), Size: int64(size),
	}
}

// recordOf returns what all crashes of a pool have in common, and the argument of
// its initializer.
func recordOf(cfg Config, path string, args []string) (r crashRecord, initializer []byte, err error) {
	r.Format = crashFormat
	p := &r.Program
	p.Self, p.Path = cfg.Command.path == "", path
	if len(args) > 1 {
		p.Args = args[1:]
	}
	dir, err := filepath.Abs(cfg.Dir) // of the empty one it is the host's
	if err != nil {
		return r, nil, err
	}
	p.Dir = dir
	c := &r.Config
	c.MaxPayload, c.MemoryLimit, c.CPULimit, c.OpenFiles, c.Nice = cfg.MaxPayload, cfg.MemoryLimit, cfg.CPULimit, cfg.OpenFiles, cfg.Nice
	c.ThreadsPerWorker, c.CancelGrace, c.StartTimeout, c.InitTimeout = cfg.ThreadsPerWorker, cfg.CancelGrace, cfg.StartTimeout, cfg.InitTimeout
	c.HungAfter, c.AutoMTLS = cfg.HungAfter, cfg.AutoMTLS
	if !cfg.Initializer.IsZero() && cfg.Initializer.Err() == nil {
		call := cfg.Initializer.NewCall()
		initializer = call.Payload()
		r.Initializer = new(recordedCallOf(call, len(initializer)))
	}
	return r, initializer, nil
}

// describe adds what is known of one crash.
func (r *crashRecord) describe(c *procpool.Call, e *procpool.CrashError, at time.Time, size int) {
	r.Time = at.UTC()
	r.recordedCall = recordedCallOf(c, size)
	r.Attempt, r.Finished = e.Attempt, e.Finished
	k := &r.Crash
	k.Message = e.Error()
	k.Worker, k.PID, k.ExitCode, k.Signal, k.Reason, k.OOM = e.Worker, e.PID, e.ExitCode, e.Signal, e.Reason, e.OOM.String()
	k.MaxRSS, k.UserCPU, k.SystemCPU, k.Suspects, k.Hung = e.MaxRSS, e.UserCPU, e.SystemCPU, e.Suspects, e.Hung
}

func (r *crashRecord) encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// readCrash reads a crash folder: the record, and the arguments of the call and of
// the initializer.
func readCrash(dir string) (r crashRecord, argument, initializer []byte, err error) {
	if info, err := os.Stat(dir); err != nil {
		return r, nil, nil, err
	} else if !info.IsDir() {
		return r, nil, nil, errors.New("it is no folder: give the one that holds crash.json")
	}
	b, err := readFile(filepath.Join(dir, recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil, nil, errors.New("it is no crash folder: it has no crash.json")
	}
	if err != nil {
		return r, nil, nil, err
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return r, nil, nil, fmt.Errorf("its crash.json is damaged: %w", err)
	}
	if version.Format > crashFormat {
		return r, nil, nil, fmt.Errorf("a newer procpool has written it, in format %d: this one reads formats up to %d", version.Format, crashFormat)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, nil, nil, fmt.Errorf("its crash.json is damaged: %w", err)
	}
	if version.Format < 1 || !r.sound() {
		return r, nil, nil, errors.New("its crash.json is damaged: it names no call to run again")
	}
	if argument, err = readWhole(dir, argumentFile, r.Size); err != nil {
		return r, nil, nil, err
	}
	if r.Initializer != nil {
		initializer, err = readWhole(dir, initializerFile, r.Initializer.Size)
	}
	return r, argument, initializer, err
}

func readWhole(dir, name string, size int64) ([]byte, error) {
	b, err := readFile(filepath.Join(dir, name), largestPayload)
	if err == nil && int64(len(b)) != size {
		err = fmt.Errorf("its file %q is damaged: it has %d bytes, not %d", name, len(b), size)
	}
	return b, err
}

// readFile reads a file that is not larger than it may be.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, most)
	}
	return os.ReadFile(path)
}

// sound reports whether the record can be run again at all.
func (r *crashRecord) sound() bool {
	c := &r.Config
	return r.recordedCall.sound() && (r.Initializer == nil || r.Initializer.sound()) &&
		(r.Program.Self || r.Program.Path != "") && c.MaxPayload > 0 && c.CancelGrace > 0 && c.StartTimeout > 0
}

func (c *recordedCall) sound() bool {
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	return c.Task != "" && utf8.ValidString(c.Task) && !strings.ContainsFunc(c.Task, bad) && c.Codec != "" && c.Timeout >= 0
}
