package main

import "os"

// Main is the program itself, for the test binary to be it.
func Main() { main() }

// The parts that are tried one by one.
var (
	ExitCode    = exitCode
	Explain     = explain
	ChooseCodec = chooseCodec
	Leave       = leave

	WatchInterrupts = watchInterrupts
)

// NewNotes makes the writer of standard error, on a terminal of that width if it is
// above zero.
func NewNotes(file *os.File, width int) *notes {
	n := &notes{file: file}
	if width > 0 {
		n.width = func() int { return width }
	}
	return n
}

// SetStatus changes the status.
func (n *notes) SetStatus(text string) { n.setStatus(text) }

// Interrupt makes the error of a signal.
func Interrupt() error { return received(os.Interrupt) }
