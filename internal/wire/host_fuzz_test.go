package wire //nolint:testpackage // tests what is not exported

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// boundAllocations fails the test if f allocates more than a fixed sum and a
// multiple of the size of what it decodes. Other goroutines count too, so the sum
// is generous.
func boundAllocations(t *testing.T, size, factor int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+factor*size); got > limit {
		t.Errorf("%d bytes made the host allocate %d, want at most %d", size, got, limit)
	}
}

// FuzzHello reads what a worker may say of itself.
func FuzzHello(f *testing.F) {
	for _, h := range []*workerv1.HelloResponse{
		{
			Sdk: "x", SdkVersion: "1", Language: "go", Revision: 1, Lanes: 2, Capabilities: []string{"pack"}, Pid: 7, RecorderOpen: true,
			Tasks: []*workerv1.TaskDescription{{Name: "a", Codecs: []string{"cbor"}}, {Name: "b", Methods: []string{"m"}, Kind: workerv1.TaskKind_TASK_KIND_SESSION, Receives: "int"}, {
				Name: "c", Methods: []string{"m", "n"}, Kind: workerv1.TaskKind_TASK_KIND_ACTOR, MethodTypes: []*workerv1.MethodDescription{{Input: "int", Codecs: []string{"json"}}},
			}},
		},
		{Revision: 1, Lanes: math.MaxUint32, Tasks: []*workerv1.TaskDescription{{Name: "a"}, {Name: "a"}}},
		{},
	} {
		data, err := proto.Marshal(h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 2)
	}
	codec := newCodec(newBufferPool())
	f.Fuzz(func(t *testing.T, data []byte, lanes int) {
		// A task's description of two bytes is a structure of two hundred.
		boundAllocations(t, len(data), 1024, func() {
			var response workerv1.HelloResponse
			if codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, &response) != nil {
				return
			}
			hello, functions, err := readHello(&response, lanes)
			if err != nil {
				return
			}
			if hello.Lanes < 1 || hello.Lanes > lanes || len(functions) != len(hello.Tasks) {
				t.Errorf("of %v at most %d lanes were asked for, got %+v", &response, lanes, hello)
			}
			w := &Worker{hello: hello, functions: functions}
			for i, task := range hello.Tasks {
				if n, ok := w.Function(task.Name); !ok || int(n) != i || task.Name == "" {
					t.Errorf("task %d is called %q and has the number %d", i, task.Name, n)
				}
				w.firstCodec(uint32(i))
			}
			w.firstCodec(w.functionOf("no such task"))
		})
	})
}

// FuzzControl reads what a worker may send on the control stream.
func FuzzControl(f *testing.F) {
	for _, r := range []*workerv1.ControlResponse{
		{Event: &workerv1.ControlResponse_Pong{Pong: &workerv1.Pong{Id: 3, MemoryBytes: 1 << 40}}},
		{},
	} {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{tagControlPong, 2, tagPongID, 1, 2<<3 | wireBytes, 0, tagControlPong, 0})
	codec := newCodec(newBufferPool())
	f.Fuzz(func(t *testing.T, data []byte) {
		var got controlMessage
		var err error
		boundAllocations(t, len(data), 4, func() {
			err = codec.Unmarshal(split(data, rand.New(rand.NewPCG(uint64(len(data)), 4))), &got)
		})
		var want workerv1.ControlResponse
		if err != nil || proto.Unmarshal(data, &want) != nil {
			return // we don't look into what we pass over, and take no groups
		}
		if _, isPong := want.GetEvent().(*workerv1.ControlResponse_Pong); got.isPong != isPong || got.pong != want.GetPong().GetId() {
			t.Errorf("read %+v, protobuf says %v", got, &want)
		}
		s := newControlStream(nil)
		s.ping()
		s.sent = s.pings // as the sender does
		before := s.pongTime()
		if got.isPong {
			s.answered(got.pong)
		}
		if s.ponged != 0 && (!got.isPong || got.pong != 1) || s.pongTime().Before(before) {
			t.Errorf("%+v counts as the answer to ping 1", got)
		}
	})
}

// bytePage is a page that consists of whatever a worker wrote into it.
type bytePage []byte

func (p bytePage) load(offset int) (uint64, error) {
	return binary.NativeEndian.Uint64(p[offset:]), nil
}

func (p bytePage) store(offset int, v uint64) error {
	binary.NativeEndian.PutUint64(p[offset:], v)
	return nil
}

func (p bytePage) copyTo(dst []byte, offset int) error {
	copy(dst, p[offset:offset+len(dst)])
	return nil
}

func (p bytePage) path() string { return "" }
func (p bytePage) Close() error { return nil }

// FuzzRecorderPage has the host read a page in which anything may stand: while its
// worker lives, and when it is dead.
func FuzzRecorderPage(f *testing.F) {
	words := func(started, at, finished, fence, journal, waiting uint64) []byte {
		var b []byte
		for _, w := range []uint64{started, at, finished, fence, journal, waiting} {
			b = binary.NativeEndian.AppendUint64(b, w)
		}
		return b
	}
	journal := tinyOutcomes(nil, 3)
	f.Add(words(3, uint64(monotonicNow()), 2, noFence, uint64(len(journal)), 0), journal, uint64(5), uint64(1))
	f.Add(words(9, math.MaxUint64, 10, 0, 1<<60, math.MaxUint64), journal, uint64(5), uint64(9))
	f.Add(words(math.MaxUint64, math.MaxInt64, math.MaxUint64, 0, journalSize, 1), journal, uint64(math.MaxUint64), uint64(0))
	f.Add(words(1, 1<<63, 0, 0, 0, 1<<63), []byte{}, uint64(1), uint64(0))
	const lanes = 2
	f.Fuzz(func(t *testing.T, words, journal []byte, sent, answered uint64) {
		page := make(bytePage, recorderSize(lanes))
		w := &Worker{
			hello: Hello{Lanes: lanes, Recorder: true}, recorder: &recorder{lanes: lanes, mem: page},
			born: monotonicNow() - int64(time.Hour), sent: make([]atomic.Uint64, lanes), answered: []uint64{answered, answered},
		}
		for lane := range lanes {
			copy(page[laneOffset(lane):laneOffset(lane+1)], words)
			copy(page[journalOffset(lanes, lane):journalOffset(lanes, lane+1)], journal)
			w.sent[lane].Store(sent)
		}
		boundAllocations(t, lanes*journalSize, 256, func() { readPage(t, w) })
		for _, lane := range []int{-1, lanes, math.MaxInt} {
			if started, finished, ran := w.Progress(lane); started != 0 || finished != 0 || ran != 0 {
				t.Errorf("lane %d, which there is not, is at %d, %d, %v", lane, started, finished, ran)
			}
		}
	})
}

// readPage reads all that a host reads.
func readPage(t *testing.T, w *Worker) {
	t.Helper()
	sane := func(ran time.Duration) bool { return ran >= 0 && ran < 2*time.Hour }
	var report ExitReport
	w.readRecorder(&report, monotonicNow())
	if len(report.Lanes) != w.hello.Lanes {
		t.Errorf("the report tells of %d lanes", len(report.Lanes))
	}
	for lane, p := range report.Lanes {
		if report.PageOK && (p.Finished > p.Started || p.Started > w.sent[lane].Load()) || !sane(p.Ran) {
			t.Errorf("lane %d is said to be at %+v, sent was %d", lane, p, w.sent[lane].Load())
		}
		if _, _, ran := w.Progress(lane); !sane(ran) {
			t.Errorf("a call has run for %v", ran)
		}
		w.Waiting(lane)
	}
	last := map[uint32]uint64{0: w.answered[0], 1: w.answered[1]}
	for _, r := range report.Replies {
		before, ok := last[r.Lane]
		if !ok || r.Seq <= before || r.Seq > w.sent[r.Lane].Load() || !sane(r.Run) {
			t.Errorf("recovered %+v behind %d, sent was %d", r, before, w.sent[0].Load())
		}
		last[r.Lane] = r.Seq
	}
	if _, ok := w.Fence(0, 7); !ok {
		t.Error("there is no fence")
	}
	w.Unfence(1)
}

// FuzzFrameBytes has a frame counter follow bytes that are no frames. However they
// are cut, the count is the same, and no larger than what was written.
func FuzzFrameBytes(f *testing.F) {
	opening := []byte("open")
	first := appendFrame(nil, frameData, 3, append([]byte{0, 0, 0, 0, 4}, opening...))
	f.Add(appendFrame(first, frameData, 3, []byte("counts")), uint64(1))
	f.Add(appendFrame([]byte(clientPreface), frameData, 3, []byte("counts")), uint64(2))
	f.Add([]byte{0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		whole, pieced := &pollConn{}, &pollConn{}
		whole.watchStream(opening)
		pieced.watchStream(opening)
		boundAllocations(t, len(data), 4, func() {
			whole.frames.wrote(data)
			rng := rand.New(rand.NewPCG(seed, 5))
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+rng.IntN(20))
				pieced.frames.wrote(rest[:n])
				rest = rest[n:]
			}
		})
		if whole.written() != pieced.written() || whole.written() > uint64(len(data)) {
			t.Errorf("counted %d bytes in one piece, %d in many, of %d", whole.written(), pieced.written(), len(data))
		}
	})
}
