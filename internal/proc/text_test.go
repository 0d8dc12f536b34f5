package proc_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/procpool/procpool/internal/proc"
)

func TestSplitLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chunks []string
		want   []string
	}{
		"nothing":               {nil, nil},
		"one line":              {[]string{"ab\n"}, []string{"ab"}},
		"unterminated":          {[]string{"ab"}, []string{"ab"}},
		"in pieces":             {[]string{"a", "b", "\n", "c\nd", "\n"}, []string{"ab", "c", "d"}},
		"empty lines":           {[]string{"\n\n", "\n"}, []string{"", "", ""}},
		"as long as allowed":    {[]string{"12345\n"}, []string{"12345"}},
		"so in pieces":          {[]string{"123", "45", "\nx"}, []string{"12345", "x"}},
		"one more":              {[]string{"123456\n"}, []string{"12345", "6"}},
		"twice as long":         {[]string{"1234567890\n"}, []string{"12345", "67890"}},
		"long without an end":   {[]string{"1234567890", "123"}, []string{"12345", "67890", "123"}},
		"CRLF":                  {[]string{"ab\r\nc\r", "\n\r\n"}, []string{"ab", "c", ""}},
		"CR alone":              {[]string{"a\rb\n"}, []string{"a\rb"}},
		"CRLF at the cut":       {[]string{"12345\r\nx\n"}, []string{"12345", "x"}},
		"empty after a cut one": {[]string{"123456\n\n"}, []string{"12345", "6", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chunks := make([][]byte, 0, len(c.chunks))
			for _, s := range c.chunks {
				chunks = append(chunks, []byte(s))
			}
			if got := proc.SplitLines(5, chunks...); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// However a stream is cut into reads, the lines are the same; none is too long; nothing is lost.
func TestSplitLinesProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringOf(rapid.SampledFrom([]rune{'a', 'b', '\n'})).Draw(t, "text"))
		maxLine := rapid.IntRange(1, 6).Draw(t, "max")
		cuts := rapid.SliceOf(rapid.IntRange(0, len(text))).Draw(t, "cuts")
		slices.Sort(cuts)
		var chunks [][]byte
		from := 0
		for _, to := range append(cuts, len(text)) {
			chunks = append(chunks, bytes.Clone(text[from:to]))
			from = to
		}
		whole, got := proc.SplitLines(maxLine, text), proc.SplitLines(maxLine, chunks...)
		if !slices.Equal(whole, got) {
			t.Fatalf("in one piece %q, in several %q", whole, got)
		}
		if strings.Join(got, "") != strings.ReplaceAll(string(text), "\n", "") {
			t.Fatalf("%q became %q", text, got)
		}
		for _, line := range got {
			if len(line) > maxLine {
				t.Fatalf("a line of %d bytes where %d are allowed", len(line), maxLine)
			}
		}
	})
}

func TestRing(t *testing.T) {
	t.Parallel()
	for range 200 {
		size := 1 + rand.IntN(20)
		write, kept := proc.NewRing(size)
		var all []byte
		for range rand.IntN(30) {
			p := make([]byte, rand.IntN(2*size))
			for i := range p {
				p[i] = byte('a' + rand.IntN(26))
			}
			write(p)
			all = append(all, p...)
			if want := all[max(0, len(all)-size):]; !bytes.Equal(kept(), want) {
				t.Fatalf("a ring of %d holds %q after %q", size, kept(), all)
			}
		}
	}
}
