package proc

import "bytes"

// lineSplitter turns a stream of bytes into lines of at most max bytes. A longer line is emitted in
// pieces of max bytes. It holds at most max bytes and copies only what a read cut in two.
type lineSplitter struct {
	max  int
	emit func(line []byte) // line is valid during the call only

	part []byte // the beginning of a line whose end has not come yet
	cut  bool   // pieces of this line were emitted already
}

// write consumes p and emits every line that ends in it.
func (l *lineSplitter) write(p []byte) {
	for len(p) > 0 {
		chunk, rest, ended := bytes.Cut(p, []byte{'\n'})
		p = rest
		chunk = l.emitPieces(chunk)
		if !ended {
			l.part = append(l.part, chunk...)
			return
		}
		if len(l.part) > 0 {
			l.part = append(l.part, chunk...)
			chunk = l.part
		}
		l.end(bytes.TrimSuffix(chunk, []byte{'\r'}))
	}
}

// emitPieces emits pieces until the pending part and the rest of chunk, which it returns, fit in max.
func (l *lineSplitter) emitPieces(chunk []byte) []byte {
	for len(l.part)+len(chunk) > l.max {
		n := l.max - len(l.part)
		piece := chunk[:n]
		if len(l.part) > 0 {
			l.part = append(l.part, piece...)
			piece = l.part
		}
		l.emit(piece)
		l.part, l.cut, chunk = l.part[:0], true, chunk[n:]
	}
	return chunk
}

// end emits the last piece of a line. After earlier pieces an empty one says nothing and is left out.
func (l *lineSplitter) end(line []byte) {
	if len(line) > 0 || !l.cut {
		l.emit(line)
	}
	l.part, l.cut = l.part[:0], false
}

// flush emits an unterminated last line.
func (l *lineSplitter) flush() {
	if len(l.part) > 0 {
		l.end(l.part)
	}
	l.cut = false
}
