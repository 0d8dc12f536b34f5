package proc

import "time"

// Bounds that apply where a [Spec] leaves a field zero.
const (
	DefaultTailBytes = 64 << 10 // a Go program's last words begin with the cause and go on with all its stacks
	DefaultMaxLine   = 64 << 10
)

// earlyBytes bounds what is kept of standard output for [Child.Early].
const earlyBytes = 4 << 10

// A Stream names one of the two outputs of a child.
type Stream uint8

// The outputs of a child.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String returns "stdout" or "stderr".
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// Spec says what to start and how to treat its output. Only Path is required.
type Spec struct {
	// Path is the program. A name without a separator is looked up in the host's PATH;
	// a relative path with one is taken from Dir.
	Path string
	// Args are the arguments including the program's name, Path alone when empty.
	Args []string
	// Env is the whole environment as KEY=VALUE; nil means none, not the host's.
	Env []string
	// Dir is the working directory, the host's when empty.
	Dir string

	// MemoryLimit is the hard limit in bytes for the process and its descendants together, 0 for none.
	// What counts is memory in use: anonymous, shared and swapped out, no mapped files, and what several
	// processes share counts once. Where the host may make control groups (cgroup v2) the kernel holds
	// the limit; else the tree is looked at every 100 ms (25 ms near the limit) and killed when it is
	// over, and RLIMIT_DATA, set when Start returns, refuses what would grow past the limit in between.
	// Go programs built with a sanitizer do without RLIMIT_DATA. Either way the exit reads as OOM.
	// Linux only: elsewhere Start fails with an error that matches errors.ErrUnsupported.
	MemoryLimit int64

	// CPULimit is the processor time that the process may use, 0 for none; its children have as much each.
	// It is rounded up to whole seconds. At the limit the process gets SIGXCPU, of which most programs die;
	// one that takes no notice, as Go programs do unless they ask for the signal, gets SIGKILL a second
	// of processor time later. Exit.OverCPU tells both. Linux only, as MemoryLimit.
	CPULimit time.Duration
	// OpenFiles is how many files the process, and each of its children, may have open, 0 for as many as
	// the host. It is set when Start returns. More than the host's own hard limit takes a privilege. Linux
	// only, as MemoryLimit.
	OpenFiles uint64

	// TailBytes is how much of the end of standard error is kept, DefaultTailBytes when 0.
	TailBytes int
	// MaxLine is the longest line in bytes that is passed on; longer ones are cut into pieces of this
	// size. DefaultMaxLine when 0.
	MaxLine int

	// Output receives every line of both streams except the claimed one, without its line end. It is
	// called on the two goroutines that read the child's output, so calls for one stream come one at a
	// time and in order, those for different streams may overlap. It must not block, and line is valid
	// during the call only. Nil drops the lines.
	Output func(stream Stream, line []byte)

	// Claim is asked for every line of standard output until it returns non-nil: that is the
	// handshake, which [Child.Claimed] then yields. It may return a part of the line; what stands
	// before that part is passed to Output. Nil claims nothing. The rules of Output apply.
	Claim func(line []byte) []byte
}

// withDefaults returns s with its zero bounds replaced.
func (s Spec) withDefaults() Spec {
	if len(s.Args) == 0 {
		s.Args = []string{s.Path}
	}
	if s.Env == nil {
		s.Env = []string{} // os.StartProcess would read nil as the host's environment
	}
	if s.TailBytes <= 0 {
		s.TailBytes = DefaultTailBytes
	}
	if s.MaxLine <= 0 {
		s.MaxLine = DefaultMaxLine
	}
	if s.Output == nil {
		s.Output = func(Stream, []byte) {}
	}
	if s.Claim == nil {
		s.Claim = func([]byte) []byte { return nil }
	}
	return s
}
