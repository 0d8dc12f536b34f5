package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// httpRun pings a loopback HTTP server, of this process like the pool, while
// something else goes on. It shows what the polling of the fast path costs the
// rest of a program: I/O that has nothing to do with the pool and wakes up
// later.
type httpRun struct {
	count  int
	server *http.Server
	served chan error
	client *http.Client
	url    string
	// load is done again and again beside the pings; nil for nothing.
	load func(context.Context) error
	// close ends what the load needs.
	close func() error
}

// pingEvery leaves time between pings, so that each has to wake up somebody.
const pingEvery = 2 * time.Millisecond

// openHTTP starts the server. It takes over close, also when it fails.
func openHTTP(ctx context.Context, count int, load func(context.Context) error, closeLoad func() error) (subject, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no loopback listener: %w", err), closeLoad())
	}
	r := &httpRun{
		count: count,
		server: &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "pong") // a client that left is no news
			}),
			ReadHeaderTimeout: time.Minute,
		},
		served: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
		url:    "http://" + listener.Addr().String() + "/",
		load:   load,
		close:  closeLoad,
	}
	go func() { r.served <- r.server.Serve(listener) }()
	return r, nil
}

// openHTTPBesideIdle pings beside a pool that has nothing to do.
func openHTTPBesideIdle(ctx context.Context, count int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return openHTTP(ctx, count, nil, p.Close)
}

// openHTTPBesideBusy pings beside a pool that gets one short call after the
// other.
func openHTTPBesideBusy(ctx context.Context, count int, noPolling bool) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers, noPolling: noPolling})
	if err != nil {
		return nil, err
	}
	return openHTTP(ctx, count, func(ctx context.Context) error {
		_, err := same.Call(ctx, p, 7)
		return err
	}, p.Close)
}

// openHTTPBesideSocket pings beside a raw ping-pong, which keeps the same
// number of processes and threads busy and polls nothing.
func openHTTPBesideSocket(ctx context.Context, count int) (subject, error) {
	peer, err := openSocketPeer(ctx, messageSize)
	if err != nil {
		return nil, err
	}
	return openHTTP(ctx, count, func(context.Context) error { return peer.exchange() }, peer.Close)
}

// Round pings at an even pace.
func (r *httpRun) Round(ctx context.Context) (got figures, err error) {
	ctx, stop := context.WithCancel(ctx)
	loaded := make(chan error, 1)
	go func() { loaded <- r.loadUntil(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-loaded)
	}()
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	took := make([]time.Duration, 0, r.count)
	for i := range r.count + r.count/10 + 1 {
		<-tick.C
		start := time.Now()
		if err := r.ping(ctx); err != nil {
			return nil, err
		}
		if i > r.count/10 { // the first tenth warms up
			took = append(took, time.Since(start))
		}
	}
	p50, p99 := latencies(took)
	return figures{"p50_us": p50, "p99_us": p99}, nil
}

// loadUntil repeats the load until ctx ends.
func (r *httpRun) loadUntil(ctx context.Context) error {
	if r.load == nil {
		return nil
	}
	for ctx.Err() == nil {
		if err := r.load(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("the load beside the pings failed: %w", err)
		}
	}
	return nil
}

func (r *httpRun) ping(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return fmt.Errorf("making a ping: %w", err)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("pinging: %w", err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("reading a pong: %w", err)
	}
	return nil
}

// Close ends the server, its connections and the load's processes.
func (r *httpRun) Close() error {
	r.client.CloseIdleConnections()
	err := r.server.Close()
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, r.close())
}
