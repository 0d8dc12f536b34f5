package proc

import (
	"errors"
	"os"
	"sync"
	"time"
)

// readSize is the size of one read from a pipe; a pipe holds 64 KiB by default.
const readSize = 32 << 10

// drainBytes bounds what is read without waiting once the child is dead. It is the most a pipe can
// hold unless an administrator allowed more, so a flooding stranger cannot keep a drain going.
const drainBytes = 1 << 20

// pump reads one output of a child until its end. Its goroutine is the only one that calls data and end.
type pump struct {
	file *os.File
	data func(p []byte) // p is valid during the call only
	end  func()         // no byte of the child itself follows; called once or twice

	settled    chan struct{} // closed when all that the child itself wrote has been read
	settleOnce sync.Once
	ended      chan struct{} // closed when the goroutine has ended and the descriptor is closed
}

func newPump(file *os.File, data func([]byte), end func()) *pump {
	return &pump{file: file, data: data, end: end, settled: make(chan struct{}), ended: make(chan struct{})}
}

// run reads until the pipe's end or close. It never stops for what it reads.
func (p *pump) run() {
	defer close(p.ended)
	defer p.settle()
	defer p.end()
	defer func() { _ = p.file.Close() }() // a second close of the same file is harmless
	buf := make([]byte, readSize)
	for {
		n, err := p.file.Read(buf)
		if n > 0 {
			p.data(buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			// childExited woke us.
			if err := p.file.SetReadDeadline(time.Time{}); err != nil {
				return
			}
			p.drain(buf)
			p.end()
			p.settle()
		default:
			return
		}
	}
}

// drain reads what the pipe holds now. With the child dead that is the last it had to say, even if a
// process it left behind keeps the pipe open.
func (p *pump) drain(buf []byte) {
	for total := 0; total < drainBytes; {
		n := readNow(p.file, buf)
		if n <= 0 {
			return
		}
		p.data(buf[:n])
		total += n
	}
}

// childExited makes the goroutine drain the pipe and settle soon. It does not block.
func (p *pump) childExited() {
	if err := p.file.SetReadDeadline(time.Unix(1, 0)); errors.Is(err, os.ErrNoDeadline) {
		p.settle() // the platform cannot wake a reader: what comes later is still read
	}
}

func (p *pump) settle() { p.settleOnce.Do(func() { close(p.settled) }) }

// close lets the goroutine read what the child left, makes it end even if somebody still holds the write
// end, and waits for it. It must follow childExited.
func (p *pump) close() {
	<-p.settled
	_ = p.file.Close()
	<-p.ended
}
