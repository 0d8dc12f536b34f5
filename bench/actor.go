package main

import (
	"context"
	"fmt"
	"time"

	"github.com/procpool/procpool"
)

// holder is the state of an actor that does next to nothing with it.
type holder struct{ calls int }

// The actor's tiny call is what same is among functions.
var (
	holders = procpool.DefineActor("holder", func(context.Context, struct{}) (*holder, error) { return new(holder), nil })
	held    = procpool.DefineMethod(holders, "same", func(h *holder, _ context.Context, n int) (int, error) {
		h.calls++
		return n, nil
	})
)

// actorRun makes calls of one actor: one at a time, then many at once.
type actorRun struct {
	pool
	ref             *procpool.Ref
	trips, together int
}

func openActor(ctx context.Context, trips, together int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return newActorRun(ctx, p, trips, together)
}

func newActorRun(ctx context.Context, p pool, trips, together int) (*actorRun, error) {
	ref, err := holders.Spawn(ctx, p, struct{}{})
	if err != nil {
		return nil, closeAfter(p, err)
	}
	return &actorRun{pool: p, ref: ref, trips: trips, together: together}, nil
}

// Round measures the latencies, and how many calls a second there are when all are
// submitted before the first is awaited.
func (r *actorRun) Round(ctx context.Context) (figures, error) {
	got, err := timeOneByOne(r.trips, startCPUOfChildren, func() error {
		_, err := held.Call(ctx, r.ref, 7)
		return err
	})
	if err != nil {
		return nil, err
	}
	futures := make([]*procpool.Future[int], r.together)
	start := time.Now()
	for i := range futures {
		futures[i] = held.Submit(ctx, r.ref, i)
	}
	for i, f := range futures {
		if n, err := f.Result(ctx); n != i || err != nil {
			return nil, fmt.Errorf("call %d came back as %d: %w", i, n, err)
		}
	}
	got["per_second"] = float64(r.together) / time.Since(start).Seconds()
	return got, nil
}

func actorMeasure(n counts) measure {
	return measure{
		Name: "actor", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openActor(ctx, n.roundTrips, n.futures) }},
			{oursCall, func(ctx context.Context) (subject, error) { return openCaller(ctx, n.roundTrips, false) }},
		},
		Rows: []rowSpec{
			{
				What: "a call of an actor, p50", Unit: "us", Side: ours, Figure: "p50_us", Better: lower,
				Against: []comparison{{Side: oursCall, Target: aim(1.2)}},
			},
			{
				What: "a call of an actor, p99", Unit: "us", Side: ours, Figure: "p99_us", Better: lower,
				Against: []comparison{{Side: oursCall}},
			},
			{
				What: "calls of one actor, all submitted first", Unit: "per s", Side: ours, Figure: "per_second", Better: higher,
			},
		},
	}
}
