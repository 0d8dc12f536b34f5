package wire //nolint:testpackage // tests what is not exported

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// enough bounds the wait for what must happen soon.
const enough = 30 * time.Second

// socketPair returns both ends of a Unix socket.
func socketPair(tb testing.TB) (a, b *net.UnixConn) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "wire") //nolint:usetesting // TempDir can be too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	}()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	defer closeAll(tb, l)
	a, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: l.Addr().String(), Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	b, err = l.AcceptUnix()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeAll(tb, a, b) })
	return a, b
}

// closeAll closes what may be closed already.
func closeAll(tb testing.TB, all ...io.Closer) {
	tb.Helper()
	for _, c := range all {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			tb.Error(err)
		}
	}
}

// aPoller allows one poller on any machine.
func aPoller() *Poller { return &Poller{limit: 1} }

func TestPollConnReads(t *testing.T) {
	t.Parallel()
	for name, poller := range map[string]*Poller{"polling": aPoller(), "no room": {limit: 0}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := socketPair(t)
			conn := newPollConn(a, poller)
			conn.setHot(true)
			sent := payload(1 << 20)
			go func() {
				for rest := sent; len(rest) > 0; {
					n := min(len(rest), 1+len(rest)%7000)
					if _, err := b.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
					runtime.Gosched()
				}
				if err := b.CloseWrite(); err != nil {
					t.Error(err)
				}
			}()
			got, err := io.ReadAll(conn)
			if err != nil || string(got) != string(sent) {
				t.Errorf("read %d bytes with error %v, want the %d that were sent", len(got), err, len(sent))
			}
			if poller != nil && poller.active.Load() != 0 {
				t.Errorf("%d pollers are left", poller.active.Load())
			}
		})
	}
}

func TestPollConnReadsNothingIntoNothing(t *testing.T) {
	t.Parallel()
	a, _ := socketPair(t)
	conn := newPollConn(a, aPoller())
	conn.setHot(true)
	if n, err := conn.Read(nil); n != 0 || err != nil {
		t.Errorf("reading into nothing gives %d, %v", n, err)
	}
}

// TestPollConnPingPong has both sides poll, one call at a time.
func TestPollConnPingPong(t *testing.T) {
	t.Parallel()
	a, b := socketPair(t)
	near, far := newPollConn(a, aPoller()), newPollConn(b, aPoller())
	near.setHot(true)
	far.setHot(true)
	go func() {
		buf := make([]byte, 16)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			if _, err := far.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 16)
	for i := range 2000 {
		near.setHot(i%100 < 50)
		if _, err := near.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if n, err := near.Read(buf); err != nil || n != 1 || buf[0] != byte(i) {
			t.Fatalf("round %d: read %v, %v", i, buf[:n], err)
		}
	}
}

func TestPollConnNoticesTheEnd(t *testing.T) {
	t.Parallel()
	ends := map[string]struct {
		end  func(mine *pollConn, theirs *net.UnixConn) error
		want error
	}{
		"the other side leaves": {func(_ *pollConn, theirs *net.UnixConn) error { return theirs.Close() }, io.EOF},
		"closed here":           {func(mine *pollConn, _ *net.UnixConn) error { return mine.Close() }, net.ErrClosed},
		"past the deadline": {func(mine *pollConn, _ *net.UnixConn) error {
			return mine.SetReadDeadline(time.Unix(1, 0))
		}, os.ErrDeadlineExceeded},
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := socketPair(t)
			conn := newPollConn(a, aPoller())
			conn.setHot(true)
			read := make(chan error, 1)
			go func() {
				_, err := conn.Read(make([]byte, 1))
				read <- err
			}()
			if err := tt.end(conn, b); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-read:
				if !errors.Is(err, tt.want) {
					t.Errorf("a waiting read gave %v, want %v", err, tt.want)
				}
			case <-time.After(enough):
				t.Fatal("a waiting read was not told")
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
				t.Errorf("the next read gave %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPollConnStopsPollingInVain(t *testing.T) {
	t.Parallel()
	a, b := socketPair(t)
	conn := newPollConn(a, aPoller())
	conn.setHot(true)
	buf := make([]byte, 1)
	// Each read polls in vain, since the byte comes only when the reader has
	// given up. That takes at most as many rounds as there may be misses.
	for range maxMisses {
		misses := conn.misses
		if _, _, ok := conn.poll(buf); ok {
			t.Fatal("read something that nobody sent")
		}
		if conn.misses <= misses {
			t.Fatalf("a poll in vain left the count of misses at %d", conn.misses)
		}
		if conn.misses >= maxMisses {
			break
		}
	}
	if conn.pause != pollPause {
		t.Errorf("after %d misses the pause is %v, want %v", conn.misses, conn.pause, pollPause)
	}
	for range 20 {
		if _, _, ok := conn.poll(buf); ok {
			t.Fatal("read something that nobody sent")
		}
	}
	if conn.pause != maxPollPause {
		t.Errorf("after many misses the pause is %v, want %v", conn.pause, maxPollPause)
	}
	if _, err := b.Write(buf); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(buf); err != nil {
		t.Fatal(err)
	}
	if conn.misses != 0 || conn.pause != 0 {
		t.Errorf("after a hit there are %d misses and a pause of %v", conn.misses, conn.pause)
	}
}

func TestPollConnReadAllocatesNothing(t *testing.T) {
	a, b := socketPair(t)
	conn := newPollConn(a, aPoller())
	conn.setHot(true)
	buf := make([]byte, 1)
	if allocs := testing.AllocsPerRun(100, func() {
		if _, err := b.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
	}); allocs >= 1 {
		t.Errorf("a read allocates %v times", allocs)
	}
}

func TestPollerKeepsToItsLimit(t *testing.T) {
	t.Parallel()
	spare := max(1, min(runtime.GOMAXPROCS(0)-1, runtime.NumCPU()/2))
	for limit, want := range map[int]int{0: 0, 1: 1, 1 << 20: spare, -1: spare} {
		p := NewPoller(limit)
		got := 0
		for p.acquire() {
			got++
		}
		if got != want {
			t.Errorf("NewPoller(%d) allows %d at a time, want %d", limit, got, want)
		}
		if got > 0 {
			p.release()
			if !p.acquire() || p.acquire() {
				t.Errorf("NewPoller(%d) does not allow one more when one has left", limit)
			}
		}
	}
	if (*Poller)(nil).acquire() {
		t.Error("no Poller allows polling")
	}
	p := &Poller{limit: 2}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if p.acquire() {
					if n := p.active.Load(); n > 2+3 { // three may be on their way out again
						t.Errorf("%d poll at a time", n)
					}
					p.release()
				}
			}
		})
	}
	wg.Wait()
	if p.active.Load() != 0 {
		t.Errorf("%d pollers are left", p.active.Load())
	}
}

func BenchmarkPollConnPingPong(b *testing.B) {
	for name, hot := range map[string]bool{"polling": true, "sleeping": false} {
		b.Run(name, func(b *testing.B) {
			x, y := socketPair(b)
			near, far := newPollConn(x, aPoller()), newPollConn(y, aPoller())
			near.setHot(hot)
			far.setHot(hot)
			go func() {
				buf := make([]byte, 16)
				for {
					n, err := far.Read(buf)
					if err != nil {
						return
					}
					if _, err := far.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, 16)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := near.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := near.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
