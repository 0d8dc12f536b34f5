package proc

// NewRing and the other names here open internals to the tests outside the package.
func NewRing(size int) (write func([]byte), bytes func() []byte) {
	r := &ring{max: size}
	return r.write, r.bytes
}

// SplitLines returns the lines that a stream gives when it is read in these chunks.
func SplitLines(maxLine int, chunks ...[]byte) []string {
	var lines []string
	l := lineSplitter{max: maxLine, emit: func(line []byte) { lines = append(lines, string(line)) }}
	for _, c := range chunks {
		l.write(c)
	}
	l.flush()
	return lines
}

// Thread returns the id of the thread that makes the children.
func (s *Spawner) Thread() int { return s.thread }
