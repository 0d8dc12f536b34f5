//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"sync/atomic"
	"testing"
)

// An answer that is found in a dead worker's journal counts for a stream only if all
// that the worker had sent was received: else values may be missing in front of it.
func TestRecoveredAnswerOfAStream(t *testing.T) {
	t.Parallel()
	for _, drained := range []bool{true, false} {
		r := pages(t, 1)["best"]
		log := open(t, r).lane(0)
		journal := tinyOutcomes(log.journalBuf(), 3)
		log.setJournal(len(journal))
		const first = 70_000 // of tinyOutcomes
		w := &Worker{
			hello: Hello{Lanes: 1, Recorder: true}, recorder: r, born: monotonicNow(), drained: drained,
			sent: make([]atomic.Uint64, 1), answered: make([]uint64, 1),
		}
		w.sent[0].Store(first + 2)
		w.box = newPostBox(nil, nil)
		w.streams.open = map[streamKey]*hostStream{{seq: first + 1}: {far: w.box.far(streamKey{seq: first + 1}, nil)}}
		got := w.recovered(0)
		want := 3
		if !drained {
			want = 2
		}
		if len(got) != want || got[0].Seq != first || got[want-1].Seq != first+2 {
			t.Errorf("all received: %v, recovered %+v", drained, got)
		}
		if drained && w.stream(streamKey{seq: first + 1}) != nil {
			t.Error("a call that was answered still takes values")
		}
	}
}
