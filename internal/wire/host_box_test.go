package wire //nolint:testpackage // tests what is not exported

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// boxed is a post box whose messages go nowhere but into a list. While it is held a
// message that is being sent does not get through, as with a worker that is stuck.
type boxed struct {
	*postBox

	sizes  []int
	all    *workerv1.WorkRequest
	killed error
	err    error
	stuck  gate
}

// gate is a mutex that a bubble of synctest sees through.
type gate chan struct{}

func (g gate) Lock()   { g <- struct{}{} }
func (g gate) Unlock() { <-g }

func newBoxed(t *testing.T) *boxed {
	b := &boxed{all: &workerv1.WorkRequest{}, stuck: make(gate, 1)}
	pool := newBufferPool()
	b.postBox = newPostBox(func(r *postedRequest) error {
		b.stuck.Lock()
		defer b.stuck.Unlock()
		if b.err != nil {
			return b.err
		}
		out := r.marshal(pool)
		defer out.Free()
		data := out.Materialize()
		b.sizes = append(b.sizes, len(data))
		var m workerv1.WorkRequest
		if err := proto.Unmarshal(data, &m); err != nil {
			t.Error(err)
		}
		proto.Merge(b.all, &m)
		return nil
	}, func(reason error) { b.killed = reason })
	return b
}

func TestBoxSendsInOrderAndInFewMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		one, two := b.far(streamKey{seq: 1}, nil), b.far(streamKey{hostCall: 2}, nil)
		b.stuck.Lock()
		one.Send(payload(1), false)
		synctest.Wait() // the first is on its way, alone
		for i := range 3000 {
			one.Send(payload(i%300), false)
			two.Send(payload(1), false)
			one.Grant(1, 10)
			two.Grant(2, 20)
		}
		one.Send(nil, true)
		b.reply(appendLength([]byte{tagRequestReplies}, 0), nil)
		b.stuck.Unlock()
		synctest.Wait()
		if b.sending {
			t.Error("the goroutine lives on")
		}
		if n := len(b.sizes); n < 2 || n > 6 || b.sizes[0] > 20 {
			t.Errorf("sent messages of %d bytes", b.sizes)
		}
		for _, size := range b.sizes {
			if size > batchBytes {
				t.Errorf("a message has %d bytes", size)
			}
		}
		next := 0
		for _, v := range b.all.GetValues() {
			if v.GetSeq() != 1 {
				continue
			}
			want := 1
			if next > 0 {
				want = (next - 1) % 300
			}
			if next <= 3000 && (len(v.GetInline()) != want || v.GetEnd()) || next == 3001 && !v.GetEnd() {
				t.Fatalf("value %d of call 1 has %d bytes, end %v", next, len(v.GetInline()), v.GetEnd())
			}
			next++
		}
		if next != 3002 || len(b.all.GetValues()) != 3002+3000 || len(b.all.GetHostReplies()) != 1 {
			t.Errorf("%d values came, %d of them call 1's, and %d replies", len(b.all.GetValues()), next, len(b.all.GetHostReplies()))
		}
		// Credit that waits is added up.
		var values, bytes uint64
		for _, c := range b.all.GetCredits() {
			if c.GetHostCall() == 2 {
				values, bytes = values+c.GetValues(), bytes+c.GetBytes()
			}
		}
		if values != 6000 || bytes != 60_000 || len(b.all.GetCredits()) > 10 {
			t.Errorf("%d credits give %d values, %d bytes", len(b.all.GetCredits()), values, bytes)
		}
	})
}

// Whatever credit a worker gives, no more than a bound gets into the box before what
// is there is sent.
func TestBoxPassesOnCreditByRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		var values, bytes int64
		f := b.far(streamKey{seq: 1}, func(v, n int64) { values, bytes = values+v, bytes+n })
		b.stuck.Lock()
		for range 1000 {
			f.gave(maxCredit, maxCredit)
		}
		if values != maxAhead || bytes != maxAheadBytes {
			t.Errorf("credit of %d values, %d bytes was passed on", values, bytes)
		}
		for range 10 {
			f.Send(payload(100), false)
		}
		synctest.Wait()
		if values != maxAhead {
			t.Errorf("credit of %d values was passed on for what is not sent", values)
		}
		b.stuck.Unlock()
		synctest.Wait()
		if values != maxAhead+10 || bytes != maxAheadBytes+1000 {
			t.Errorf("credit of %d values, %d bytes was passed on when 10 of 100 bytes were sent", values, bytes)
		}
	})
}

func TestBoxDropsWhatHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		b.stuck.Lock()
		other := b.far(streamKey{seq: 99}, nil)
		other.Send(nil, false)
		synctest.Wait()
		for seq := range uint64(1000) {
			f := b.far(streamKey{seq: seq + 1}, nil)
			f.Send(payload(100), false)
			f.Grant(1, 1)
			f.stop()
			f.Send(payload(100), false)
			f.Grant(1, 1)
		}
		other.Send(nil, true)
		if len(b.waiting) != 1 || len(b.granted) != 0 {
			t.Errorf("%d values and %d credits wait", len(b.waiting), len(b.granted))
		}
		b.stuck.Unlock()
		synctest.Wait()
		if got := b.all.GetValues(); len(got) != 2 || got[0].GetSeq() != 99 || !got[1].GetEnd() {
			t.Errorf("sent %v", got)
		}
	})
}

func TestBoxOfADeadWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		f := b.far(streamKey{seq: 1}, nil)
		b.stuck.Lock()
		for range 100 {
			f.Send(payload(maxAheadBytes/100), false)
		}
		b.err = errors.New("gone")
		b.stuck.Unlock()
		b.awaitIdle()
		if !b.closed || b.waiting != nil {
			t.Errorf("closed: %v, %d wait", b.closed, len(b.waiting))
		}
		b.close()
		f.Send(nil, true)
		f.Grant(1, 1)
		b.reply(nil, nil)
		f.stop()
		b.awaitIdle()
		if len(b.waiting)+len(b.granted)+len(b.sizes) > 0 {
			t.Error("a closed box has taken something")
		}
	})
}

func TestBoxBoundsReplies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		field := appendLength([]byte{tagRequestReplies}, 0)
		b.stuck.Lock()
		for range maxPostedReplies {
			b.reply(field, nil)
		}
		if b.killed != nil {
			t.Errorf("the worker was killed: %v", b.killed)
		}
		b.reply(field, nil)
		if b.killed == nil {
			t.Error("a worker that takes no answers lives on")
		}
		b.stuck.Unlock()
		synctest.Wait()
		if got := len(b.all.GetHostReplies()); got != maxPostedReplies || b.replies != 0 {
			t.Errorf("sent %d replies, %d are said to wait", got, b.replies)
		}
	})
}

// Many post at once, and each stream is in order. The race detector looks on.
func TestBoxIsSafe(t *testing.T) {
	t.Parallel()
	b := newBoxed(t)
	var posters sync.WaitGroup
	const streams, values = 4, 500
	for s := range uint64(streams) {
		posters.Go(func() {
			f := b.far(streamKey{seq: s + 1}, func(int64, int64) {})
			for i := range values {
				f.Send([]byte{byte(i), byte(i >> 8)}, false)
				f.Grant(1, 1)
				f.gave(1, 1)
				if i%50 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	posters.Wait()
	b.awaitIdle()
	next := make(map[uint64]int)
	for _, v := range b.all.GetValues() {
		if got := int(v.GetInline()[0]) | int(v.GetInline()[1])<<8; got != next[v.GetSeq()] {
			t.Fatalf("value %d of call %d has come as number %d", got, v.GetSeq(), next[v.GetSeq()])
		}
		next[v.GetSeq()]++
	}
	if len(b.all.GetValues()) != streams*values {
		t.Errorf("%d values came", len(b.all.GetValues()))
	}
}
