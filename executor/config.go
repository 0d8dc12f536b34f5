package executor

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/procpool/procpool"
)

// Config says how a pool is to be. The zero value works: one worker for each
// CPU, running this program again.
type Config struct {
	// Workers is how many worker processes take calls at the most; 0 means one
	// for each CPU that the program may use (runtime.GOMAXPROCS).
	Workers int
	// MinWorkers is how many workers the pool keeps although they have nothing
	// to do; 0 means Workers, so that their number does not change. The pool
	// starts with MinWorkers, adds one whenever a call has waited for GrowAfter,
	// and lets those beyond MinWorkers go that were idle for IdleTimeout.
	MinWorkers int
	// GrowAfter is how long a call waits before the pool adds a worker; 0 means
	// 5 ms.
	GrowAfter time.Duration
	// IdleTimeout is how long a worker beyond MinWorkers idles before it is let
	// go; 0 means 30 seconds.
	IdleTimeout time.Duration
	// Spares is how many workers beside those that take calls are kept started,
	// so that one that dies or is replaced costs no start-up time.
	Spares int
	// Concurrency is how many calls a worker runs at once, in threads or
	// goroutines of its own; 0 means one. More than one is for calls that wait
	// for something: they share their worker's fate. When it dies all that ran
	// in it fail, and when a call does not end in time the worker is killed as
	// soon as the others have ended, or after RetireGrace.
	Concurrency int
	// Command is what a worker runs; the zero value is this program again.
	Command Command
	// Env is the workers' environment as KEY=VALUE, in place of the host's;
	// nil means the host's. Variables that begin with PLUGIN_ or PROCPOOL_ are
	// dropped in either case.
	Env []string
	// Dir is the workers' working directory; empty means the host's.
	Dir string
	// Tasks are handles on what the program is going to call, above all those that
	// it has by procpool.Remote. If the workers do not serve one of them, or by its
	// name one of other types, New fails in place of the first call. Types that do
	// not compare between two languages, such as a struct and a class, are let pass.
	Tasks []procpool.Task

	// QueueSize bounds how many calls wait for a worker; 0 means 16,384. A
	// submitter blocks when it is reached, or with procpool.NoWait is
	// refused. The items of a Map that travel together count as one, and are
	// bounded by the Map's window.
	QueueSize int
	// QueueBytes bounds the encoded arguments of the calls that wait, in
	// bytes; 0 means 256 MiB. An empty queue takes any one call. Of the items
	// of a Map that travel together the first counts; the others add 32 KiB
	// at most.
	QueueBytes int64
	// MaxPayload bounds one encoded argument or result, in bytes; 0 means
	// 256 MiB. A call beyond it fails with procpool.ErrTooLarge.
	MaxPayload int64

	// MaxDedicated is how many processes there may be, beside the workers, that
	// sessions and actors have for themselves; 0 means 16. Further ones wait when
	// they are opened or spawned. As many workers beyond Workers may be started while
	// calls wait for calls that they have made themselves, or for shared state, where a
	// worker runs only one call at a time, as those in Python do.
	MaxDedicated int
	// NestingDepth is how deep calls may be nested that tasks make of the pool they
	// run in; 0 means 100. NestedCalls is how many of them there may be at once, and
	// how many operations of tasks on shared state (package shared) may wait; 0 means
	// 16,384. What is beyond is refused with procpool.ErrNestingLimit.
	NestingDepth, NestedCalls int

	// CancelGrace is how long a cancelled call may go on before its worker is
	// killed and replaced; 0 means one second.
	CancelGrace time.Duration
	// RetireGrace is how long the other calls of a worker may go on that is to
	// be killed for a call that does not stop, where Concurrency is above one; 0
	// means ten seconds.
	RetireGrace time.Duration
	// HungAfter is how long a worker may give no sign of life while it is stopped
	// or uses no processor time; then it is killed and replaced. A worker that
	// computes is left alone, however silent. 0 means ten seconds, a negative
	// value for ever; less than 100 ms can't be told apart from a busy machine.
	// Only Linux can tell; elsewhere no worker is taken for hung.
	HungAfter time.Duration

	// Initializer is a call that each worker makes before it takes others, such
	// as Load.Bind("model.bin"); the zero value is none. A worker whose
	// initializer fails has failed to start. InitTimeout bounds it; 0 means 60
	// seconds.
	Initializer procpool.Bound
	InitTimeout time.Duration
	// Finalizer is a call that each worker makes as its last when it leaves in
	// peace: recycled, no longer needed, or at Shutdown. It is not made by a
	// worker that dies or is killed, nor at Close. Its failure is an event and
	// changes nothing. FinalTimeout bounds it, and the closing of an actor's state;
	// 0 means 5 seconds.
	Finalizer    procpool.Bound
	FinalTimeout time.Duration

	// MaxCalls is after how many calls a worker is replaced, each less up to a
	// tenth by chance, so that workers do not leave together; 0 means never. The
	// items of a Map count one by one. Here as with all that replaces a living
	// worker its replacement is ready first where that is possible, and its last
	// reply is back.
	MaxCalls int
	// MaxAge is the age at which a worker is replaced, less up to a tenth by
	// chance, once it has nothing to do; 0 means never.
	MaxAge time.Duration
	// SoftMemoryLimit is the memory in bytes, counted as for MemoryLimit, beyond
	// which a worker is replaced after the reply at hand; 0 means none.
	// MaxMemoryGrowth does the same for what a worker uses beyond what it did
	// after its first calls. Both are looked at four times a second. Linux only.
	SoftMemoryLimit int64
	MaxMemoryGrowth int64

	// StartTimeout is how long a worker may take until it is ready; 0 means
	// 30 seconds.
	StartTimeout time.Duration

	// MemoryLimit is a hard limit for the memory of each worker and its
	// children, in bytes; 0 means none. A worker that passes it dies, and its
	// call fails with a *procpool.CrashError whose OOM is set. Where the host
	// lets the pool use cgroup v2 that is what enforces it; else the kernel's
	// limit on private memory (RLIMIT_DATA), and a watch over the resident
	// memory of the process tree. Linux only.
	MemoryLimit int64
	// CPULimit is the processor time that a worker may use in its life, rounded up
	// to seconds; 0 means no limit. The kernel ends a worker beyond it, at once or
	// within another second of processor time. Linux only.
	CPULimit time.Duration
	// OpenFiles is how many descriptors a worker may have open; 0 means the
	// host's own limit. Linux only.
	OpenFiles int
	// Nice is the workers' niceness, from 1 to 19: the higher, the more they give
	// way to other processes; 0 leaves them the host's. Linux only.
	Nice int
	// ThreadsPerWorker is how many CPUs a worker is meant to use: it sets
	// GOMAXPROCS and the variables that numeric libraries read
	// (OMP_NUM_THREADS and the like), unless Env sets them. 0 means the
	// CPUs that the host may use (runtime.GOMAXPROCS) divided by Workers, at
	// least 1.
	ThreadsPerWorker int

	// Output gets what the workers print on their standard output and error,
	// line by line, each with the worker's number and the task that runs in
	// it before it; nil means os.Stderr, io.Discard drops it all. A writer
	// that is too slow loses lines, which Stats counts, and holds up nobody.
	Output io.Writer
	// Logger gets what tasks log with procpool.Logger; nil means slog.Default().
	// Levels that it does not want when the pool is made are not sent. A handler
	// that is too slow loses records, which Stats counts, and holds up nobody.
	Logger *slog.Logger
	// OnEvent is called when a worker becomes ready, fails to start or exits, and
	// when a task reports progress: one call at a time, in order, on a goroutine of
	// the pool's. Exits that Close and Shutdown bring about are no events. Both wait
	// for it, so it must not call them itself.
	OnEvent func(Event)

	// CrashDir is where the pool leaves a folder for each crash, from which Replay
	// runs the call again; empty, the default, means nowhere. It holds the calls'
	// arguments, so the folders are for the user's eyes alone (mode 0700).
	// CrashDirCount and CrashDirBytes bound how many there are and what they take
	// together; the oldest go first. 0 means 64 and 256 MiB.
	CrashDir      string
	CrashDirCount int
	CrashDirBytes int64

	// SocketDir is where each worker gets a private directory for its socket
	// while it starts; empty means the system's temporary directory, or a
	// shorter path where that would be too long for a socket.
	SocketDir string
	// AutoMTLS encrypts the connections to the workers, with certificates
	// made for each start. It is off by default: the private directory and
	// the check of the peer keep others out as well, and it makes a start
	// several times as long. On Windows, which has neither, it is always on.
	AutoMTLS bool
	// NoPolling keeps host and workers from polling for the next message,
	// for some microseconds and while very short calls are in flight, before
	// they sleep. Polling takes a round trip on an idle machine to half or
	// a third; other I/O of the program may wait for up to a millisecond
	// meanwhile. docs/benchmarks has both with and without.
	NoPolling bool
}

const (
	defaultQueueSize    = 16 << 10
	defaultQueueBytes   = 256 << 20
	defaultMaxPayload   = 256 << 20
	defaultCancelGrace  = time.Second
	defaultStartTimeout = 30 * time.Second
	defaultGrowAfter    = 5 * time.Millisecond
	defaultIdleTimeout  = 30 * time.Second
	defaultRetireGrace  = 10 * time.Second
	defaultHungAfter    = 10 * time.Second
	leastHungAfter      = 100 * time.Millisecond
	defaultInitTimeout  = time.Minute
	defaultFinalTimeout = 5 * time.Second
	defaultCrashCount   = 64
	defaultCrashBytes   = 256 << 20
	maxWorkers          = 4096
	maxConcurrency      = 1024
	maxDepth            = 10_000
	maxNested           = 1 << 20
	defaultDedicated    = 16
	defaultDepth        = 100
	defaultNested       = 16 << 10
	largestPayload      = 1 << 30
)

// withDefaults returns c with its zero fields replaced, or an error that names
// the field that is wrong.
func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		name  string
		value int64
		unit  string
	}{
		{"Workers", int64(c.Workers), ""},
		{"MinWorkers", int64(c.MinWorkers), ""},
		{"GrowAfter", int64(c.GrowAfter), " ns"},
		{"IdleTimeout", int64(c.IdleTimeout), " ns"},
		{"Spares", int64(c.Spares), ""},
		{"Concurrency", int64(c.Concurrency), ""},
		{"RetireGrace", int64(c.RetireGrace), " ns"},
		{"InitTimeout", int64(c.InitTimeout), " ns"},
		{"FinalTimeout", int64(c.FinalTimeout), " ns"},
		{"MaxCalls", int64(c.MaxCalls), ""},
		{"MaxAge", int64(c.MaxAge), " ns"},
		{"SoftMemoryLimit", c.SoftMemoryLimit, " bytes"},
		{"MaxMemoryGrowth", c.MaxMemoryGrowth, " bytes"},
		{"CPULimit", int64(c.CPULimit), " ns"},
		{"OpenFiles", int64(c.OpenFiles), ""},
		{"Nice", int64(c.Nice), ""},
		{"MaxDedicated", int64(c.MaxDedicated), ""},
		{"NestingDepth", int64(c.NestingDepth), ""},
		{"NestedCalls", int64(c.NestedCalls), ""},
		{"CrashDirCount", int64(c.CrashDirCount), ""},
		{"CrashDirBytes", c.CrashDirBytes, " bytes"},
		{"QueueSize", int64(c.QueueSize), ""},
		{"QueueBytes", c.QueueBytes, " bytes"},
		{"MaxPayload", c.MaxPayload, " bytes"},
		{"CancelGrace", int64(c.CancelGrace), " ns"},
		{"StartTimeout", int64(c.StartTimeout), " ns"},
		{"MemoryLimit", c.MemoryLimit, " bytes"},
		{"ThreadsPerWorker", int64(c.ThreadsPerWorker), ""},
	} {
		if f.value < 0 {
			return c, fmt.Errorf("procpool: Config.%s is %d%s: it can't be negative, 0 means the default", f.name, f.value, f.unit)
		}
	}
	if c.Workers > maxWorkers {
		return c, fmt.Errorf("procpool: Config.Workers is %d: at most %d processes make sense in one pool", c.Workers, maxWorkers)
	}
	if c.MaxPayload > largestPayload {
		return c, fmt.Errorf("procpool: Config.MaxPayload is %d bytes: at most %d fit into one message", c.MaxPayload, int64(largestPayload))
	}
	if c.MemoryLimit > 0 && c.MemoryLimit < leastMemory {
		return c, fmt.Errorf("procpool: Config.MemoryLimit is %d bytes: no worker starts with less than %d", c.MemoryLimit, int64(leastMemory))
	}
	if c.OpenFiles > 0 && c.OpenFiles < leastFiles {
		return c, fmt.Errorf("procpool: Config.OpenFiles is %d: no worker starts with less than %d", c.OpenFiles, leastFiles)
	}
	for _, f := range []struct {
		name        string
		value, most int
	}{
		{"Spares", c.Spares, maxWorkers},
		{"Concurrency", c.Concurrency, maxConcurrency},
		{"Nice", c.Nice, 19},
		{"MaxDedicated", c.MaxDedicated, maxWorkers},
		{"NestingDepth", c.NestingDepth, maxDepth},
		{"NestedCalls", c.NestedCalls, maxNested},
	} {
		if f.value > f.most {
			return c, fmt.Errorf("procpool: Config.%s is %d: at most %d", f.name, f.value, f.most)
		}
	}
	if c.HungAfter > 0 && c.HungAfter < leastHungAfter {
		return c, fmt.Errorf("procpool: Config.HungAfter is %v: at least %v, or a worker would be taken for hung that only waits for a processor", c.HungAfter, leastHungAfter)
	}
	if err := c.honoured(); err != nil {
		return c, err
	}
	for field, call := range map[string]procpool.Bound{"Initializer": c.Initializer, "Finalizer": c.Finalizer} {
		if err := call.Err(); err != nil {
			return c, fmt.Errorf("procpool: Config.%s can't be used: %w", field, err)
		}
	}
	for _, entry := range c.Env {
		if i := strings.IndexByte(entry, '='); i <= 0 || strings.IndexByte(entry, 0) >= 0 {
			return c, fmt.Errorf("procpool: Config.Env has the entry %q: each is KEY=VALUE without a NUL", entry)
		}
	}
	cpus := runtime.GOMAXPROCS(0)
	setDefault(&c.Workers, cpus)
	setDefault(&c.QueueSize, defaultQueueSize)
	setDefault(&c.QueueBytes, defaultQueueBytes)
	setDefault(&c.MaxPayload, defaultMaxPayload)
	setDefault(&c.CancelGrace, defaultCancelGrace)
	setDefault(&c.StartTimeout, defaultStartTimeout)
	setDefault(&c.MinWorkers, c.Workers)
	if c.MinWorkers > c.Workers {
		return c, fmt.Errorf("procpool: Config.MinWorkers is %d, more than the %d of Workers", c.MinWorkers, c.Workers)
	}
	setDefault(&c.GrowAfter, defaultGrowAfter)
	setDefault(&c.IdleTimeout, defaultIdleTimeout)
	setDefault(&c.Concurrency, 1)
	setDefault(&c.RetireGrace, defaultRetireGrace)
	setDefault(&c.HungAfter, defaultHungAfter)
	setDefault(&c.InitTimeout, defaultInitTimeout)
	setDefault(&c.FinalTimeout, defaultFinalTimeout)
	setDefault(&c.MaxDedicated, defaultDedicated)
	setDefault(&c.NestingDepth, defaultDepth)
	setDefault(&c.NestedCalls, defaultNested)
	setDefault(&c.CrashDirCount, defaultCrashCount)
	setDefault(&c.CrashDirBytes, defaultCrashBytes)
	setDefault(&c.ThreadsPerWorker, max(cpus/c.Workers, 1))
	if c.Output == nil {
		c.Output = os.Stderr
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// honoured returns an error for a setting that this platform can't honour.
func (c Config) honoured() error {
	if runtime.GOOS == "linux" {
		return nil
	}
	for name, set := range map[string]bool{
		"SoftMemoryLimit": c.SoftMemoryLimit > 0, "MaxMemoryGrowth": c.MaxMemoryGrowth > 0,
		"CPULimit": c.CPULimit > 0, "OpenFiles": c.OpenFiles > 0, "Nice": c.Nice > 0,
	} {
		if set {
			return fmt.Errorf("procpool: Config.%s can't be honoured on %s: %w", name, runtime.GOOS, errors.ErrUnsupported)
		}
	}
	return nil
}

// leastMemory and leastFiles are below what a worker's runtime needs to say hello.
const (
	leastMemory = 8 << 20
	leastFiles  = 16
)

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// threadVariables are read by the Go runtime and by numeric libraries to decide
// how many threads to start. Without them N workers start N times CPUs.
var threadVariables = []string{
	"GOMAXPROCS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
	"BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
}

// withThreads returns env with the thread variables set to n, except those that
// keep names as set on purpose.
func withThreads(env []string, n int, keep []string) []string {
	kept := make(map[string]bool, len(keep))
	for _, entry := range keep {
		name, _, _ := strings.Cut(entry, "=")
		kept[name] = true
	}
	ours := make(map[string]bool, len(threadVariables))
	for _, name := range threadVariables {
		ours[name] = !kept[name]
	}
	out := make([]string, 0, len(env)+len(threadVariables))
	for _, entry := range env {
		if name, _, _ := strings.Cut(entry, "="); !ours[name] {
			out = append(out, entry)
		}
	}
	for _, name := range threadVariables {
		if ours[name] {
			out = append(out, fmt.Sprintf("%s=%d", name, n))
		}
	}
	return out
}
