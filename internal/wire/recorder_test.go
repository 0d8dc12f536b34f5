//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pages makes a recorder of each kind that the system has.
func pages(t *testing.T, lanes int) map[string]*recorder {
	t.Helper()
	made := make(map[string]*recorder)
	r, err := newRecorder(t.TempDir(), lanes)
	if err != nil {
		t.Fatal(err)
	}
	made["best"] = r
	mem, err := newFilePage(t.TempDir(), recorderSize(lanes), headerBytes(lanes))
	if err != nil {
		t.Fatal(err)
	}
	for lane := range lanes {
		if err := mem.store(laneOffset(lane)+laneFence, noFence); err != nil {
			t.Fatal(err)
		}
	}
	made["file"] = &recorder{lanes: lanes, mem: mem, where: mem.path()}
	for _, r := range made {
		t.Cleanup(func() {
			if err := r.close(); err != nil {
				t.Error(err)
			}
		})
	}
	return made
}

func open(t *testing.T, r *recorder) *workerRecorder {
	t.Helper()
	w, err := openRecorder(r.path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestRecorderTellsHowFarALaneHasCome(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 3) {
		w := open(t, r)
		want := func(lane int, wantStarted, wantFinished uint64, wantAt int64) {
			t.Helper()
			got, ok := r.progress(lane)
			if !ok || got.started != wantStarted || got.finished != wantFinished || got.started > got.finished && got.startedAt != wantAt || got.waiting != 0 {
				t.Errorf("%s: lane %d is at %+v, %v; want started %d, finished %d, since %d", kind, lane, got, ok, wantStarted, wantFinished, wantAt)
			}
		}
		want(1, 0, 0, 0)
		lane := w.lane(1)
		if !lane.start(7, 1234) {
			t.Errorf("%s: call 7 was declined without a fence", kind)
		}
		want(1, 7, 0, 1234)
		lane.finish(7)
		want(1, 7, 7, 0)
		if !lane.start(math.MaxUint64, 99) {
			t.Errorf("%s: the last number of all was declined without a fence", kind)
		}
		want(1, math.MaxUint64, 7, 99)
		want(0, 0, 0, 0)
		want(2, 0, 0, 0)
		if w.lane(3) != nil || w.lane(-1) != nil {
			t.Errorf("%s: there is a lane beyond the last", kind)
		}
		for _, lane := range []int{-1, 3} {
			if _, ok := r.progress(lane); ok {
				t.Errorf("%s: lane %d has progress", kind, lane)
			}
			if _, ok := r.fence(lane, 1); ok {
				t.Errorf("%s: lane %d was fenced", kind, lane)
			}
			if _, err := r.journal(lane); err == nil {
				t.Errorf("%s: lane %d has a journal", kind, lane)
			}
		}
	}
}

func TestFenceStopsWhatLiesBeyond(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 1) {
		lane := open(t, r).lane(0)
		if !lane.start(5, 1) {
			t.Errorf("%s: call 5 was declined without a fence", kind)
		}
		if started, ok := r.fence(0, 3); !ok || started != 5 {
			t.Errorf("%s: the fence says that %d has started, %v, want 5", kind, started, ok)
		}
		lane.finish(5)
		if lane.start(6, 2) {
			t.Errorf("%s: call 6 started beyond the fence at 3", kind)
		}
		// A declined call leaves no trace that could be taken for a start.
		if got, _ := r.progress(0); got.started != 5 || got.finished != 5 {
			t.Errorf("%s: after a decline the lane is at %+v, want 5, 5", kind, got)
		}
		if started, _ := r.fence(0, 7); started != 5 {
			t.Errorf("%s: started is %d, want 5", kind, started)
		}
		if !lane.start(7, 3) {
			t.Errorf("%s: call 7 was declined with the fence at 7", kind)
		}
		if lane.start(8, 3) {
			t.Errorf("%s: call 8 started beyond the fence at 7", kind)
		}
		r.unfence(0)
		if !lane.start(9, 4) {
			t.Errorf("%s: call 9 was declined though the fence was lifted", kind)
		}
	}
}

func TestJournalOutlivesItsWriter(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 2) {
		w, err := openRecorder(r.path())
		if err != nil {
			t.Fatal(err)
		}
		lane := w.lane(1)
		buf := tinyOutcomes(lane.journalBuf(), 5)
		lane.setJournal(len(buf))
		tinyOutcomes(buf, 1) // was being written when the process died
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		got, err := r.journal(1)
		if err != nil || !bytes.Equal(got, tinyOutcomes(nil, 5)) {
			t.Errorf("%s: the journal holds %d bytes, error %v, want the five replies", kind, len(got), err)
		}
		replies, err := decodeReplies(nil, got)
		if err != nil || len(replies) != 5 {
			t.Errorf("%s: the journal decodes to %d replies, error %v, want 5", kind, len(replies), err)
		}
		open(t, r).lane(1).resetJournal()
		if got, err := r.journal(1); err != nil || len(got) != 0 {
			t.Errorf("%s: an empty journal holds %d bytes, error %v", kind, len(got), err)
		}
	}
}

func TestJournalHasRoomForItsSize(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 2) {
		w := open(t, r)
		for i := range 2 {
			buf := w.lane(i).journalBuf()
			if len(buf) != 0 || cap(buf) != journalSize {
				t.Fatalf("%s: journal %d has length %d and capacity %d, want 0 and %d", kind, i, len(buf), cap(buf), journalSize)
			}
			buf = buf[:journalSize]
			for j := range buf {
				buf[j] = byte(i + 1)
			}
			w.lane(i).setJournal(journalSize)
		}
		for i := range 2 {
			got, err := r.journal(i)
			if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i + 1)}, journalSize)) {
				t.Errorf("%s: journal %d was overwritten, error %v", kind, i, err)
			}
		}
	}
}

func TestHostDoesNotTrustTheJournalsLength(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 1) {
		lane := open(t, r).lane(0)
		for _, n := range []int{journalSize + 1, math.MaxInt, -1} {
			lane.setJournal(n)
			if _, err := r.journal(0); err == nil {
				t.Errorf("%s: a journal of %d bytes was read", kind, n)
			}
		}
	}
}

func TestRecorderAfterClose(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 1) {
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.fence(0, 1); ok {
			t.Errorf("%s: fenced after close", kind)
		}
		if _, ok := r.progress(0); ok {
			t.Errorf("%s: progress after close", kind)
		}
		if _, err := r.journal(0); !errors.Is(err, errNoRecorder) {
			t.Errorf("%s: reading the journal after close gives %v", kind, err)
		}
		if err := r.close(); err != nil {
			t.Errorf("%s: closing again gives %v", kind, err)
		}
	}
}

func TestRecorderRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{-1, 0, recorderMaxLanes + 1} {
		if _, err := newRecorder(t.TempDir(), lanes); err == nil {
			t.Errorf("made a recorder with %d lanes", lanes)
		}
	}
	good := append(headerBytes(2), make([]byte, recorderSize(2))...)[:recorderSize(2)]
	other := bytes.Clone(good)
	other[8]++
	manyLanes := bytes.Clone(good)
	manyLanes[12] = 200
	noMagic := bytes.Clone(good)
	noMagic[0] ^= 1
	for name, content := range map[string][]byte{
		"empty":                {},
		"too short":            good[:len(good)-1],
		"short of its header":  good[:20],
		"another version":      other,
		"more lanes than room": manyLanes,
		"not a recorder":       noMagic,
		"all zeros":            make([]byte, len(good)),
	} {
		path := filepath.Join(t.TempDir(), "page")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openRecorder(path); err == nil {
			t.Errorf("opened a page that is %s", name)
		}
	}
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, int64(recorderSize(recorderMaxLanes))+1); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{huge, "", t.TempDir(), filepath.Join(t.TempDir(), "missing"), os.DevNull} {
		if _, err := openRecorder(path); err == nil {
			t.Errorf("opened %q as a page", path)
		}
	}
}

// TestHostSurvivesACutFile is why the host does not map a page that its worker
// can make shorter.
func TestHostSurvivesACutFile(t *testing.T) {
	t.Parallel()
	r := pages(t, 1)["file"]
	if err := os.Truncate(r.path(), 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.progress(0); ok {
		t.Error("there is progress in a file of 0 bytes")
	}
	if _, err := r.journal(0); err == nil {
		t.Error("there is a journal in a file of 0 bytes")
	}
}

func TestMonotonicNow(t *testing.T) {
	t.Parallel()
	a := monotonicNow()
	shared := sharedClock()
	b := monotonicNow()
	if a > b {
		t.Errorf("the clock went back from %d to %d", a, b)
	}
	// Two processes calibrate apart, so a little off is as good as it gets.
	const off = int64(5 * time.Millisecond)
	if shared < a-off || shared > b+off {
		t.Errorf("the clock is at %d to %d, the one that all processes share at %d", a, b, shared)
	}
	if c := newClock(); c.base.IsZero() {
		t.Error("the clock has no base")
	}
}

func BenchmarkRecorderStartFinish(b *testing.B) {
	r, err := newRecorder(b.TempDir(), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer closeRecorder(b, r.close)
	w, err := openRecorder(r.path())
	if err != nil {
		b.Fatal(err)
	}
	defer closeRecorder(b, w.close)
	lane := w.lane(0)
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		lane.start(seq, 1)
		lane.setJournal(12)
		lane.finish(seq)
	}
}

func closeRecorder(b *testing.B, end func() error) {
	b.Helper()
	if err := end(); err != nil {
		b.Error(err)
	}
}

func BenchmarkMonotonicNow(b *testing.B) {
	for b.Loop() {
		monotonicNow()
	}
}
