package main

import (
	"context"
	"fmt"
)

// counts is how much work a round does, and how many rounds there are.
type counts struct {
	rounds, coldRounds, crashRounds int

	futures, pythonFutures  int
	mapped                  int
	roundTrips, pythonTrips int
	queued                  int
	shared                  int
	pings                   int
	streamed                int
	worked, replaced        int
	// echoBytes is how much an echo round moves each way, at least once.
	echoBytes, pythonEchoBytes int
}

// fullCounts give a run of about three minutes.
func fullCounts() counts {
	return counts{
		rounds: 7, coldRounds: 15, crashRounds: 20,
		futures: 200_000, pythonFutures: 20_000,
		mapped:     1_000_000,
		roundTrips: 5_000, pythonTrips: 2_000,
		queued: 100_000, shared: 10_000, pings: 300, streamed: 1_000_000,
		worked: 1_000, replaced: 30,
		echoBytes: 256 << 20, pythonEchoBytes: 64 << 20,
	}
}

// quickCounts give a run of less than half a minute.
func quickCounts() counts {
	return counts{
		rounds: 3, coldRounds: 3, crashRounds: 5,
		futures: 50_000, pythonFutures: 5_000,
		mapped:     300_000,
		roundTrips: 2_000, pythonTrips: 500,
		queued: 50_000, shared: 3_000, pings: 100, streamed: 300_000,
		worked: 400, replaced: 10,
		echoBytes: 64 << 20, pythonEchoBytes: 32 << 20,
	}
}

// messageSize is the size of a raw ping, about that of a tiny call.
const messageSize = 16

// The sides of the measures. Their names are what -only matches, after the
// measure's name and a slash, and what the table prints.
const (
	ours            = "procpool"
	oursCancel      = "procpool, cancellable"
	oursNoPolling   = "procpool, NoPolling"
	oursDeadline    = "procpool, deadline"
	rawSocket       = "raw socket ping-pong"
	rawPinned       = "raw socket ping-pong, two CPUs"
	rawDescriptor   = "raw socket, blocking read(2)"
	barePlugin      = "bare go-plugin"
	pythonPool      = "ProcessPoolExecutor"
	pythonImap      = "multiprocessing.Pool imap"
	pythonMap       = "multiprocessing.Pool map"
	pythonFork      = "ProcessPoolExecutor fork"
	pythonSpawn     = "ProcessPoolExecutor spawn"
	oursSpare       = "procpool, a spare"
	oursNoCrashes   = "procpool, no crashes"
	oursRecycled    = "procpool, MaxCalls 25"
	besideNoPolling = "beside a busy pool that does not poll"
	besideIdle      = "beside an idle pool"
	besideRaw       = "beside a raw socket ping-pong"
	rawEcho         = "raw socket echo"
	bareStream      = "bare gRPC stream"
	oursCall        = "procpool, a call"
)

// plan is every measure, in the order of the table. The bounds are those of
// the design's section on performance; docs/benchmarks/README.md explains each.
func plan(n counts, py *python) []measure {
	plan := []measure{futuresMeasure(n, py), mapMeasure(n, py), roundTripMeasure(n, py), coldMeasure(n, py)}
	for _, e := range []struct {
		name   string
		size   int
		target *target
	}{
		{"64 KiB", 64 << 10, nil},
		{"1 MiB", 1 << 20, nil},
		{"16 MiB", 16 << 20, aim(2)},
	} {
		plan = append(plan, echoMeasure(n, py, e.name, e.size, e.target))
	}
	plan = append(plan, streamMeasure(n), sessionMeasure(n), nestedMeasure(n), actorMeasure(n))
	plan = append(plan, sharedMeasures(n, py)...)
	return append(plan, crashMeasure(n, py), replaceMeasure(n), stormMeasure(n), recyclingMeasure(n), queuedMeasure(n, py), httpMeasure(n),
		pythonFuturesMeasure(n, py), pythonTripMeasure(n, py), pythonEchoMeasure(n, py), pythonColdMeasure(n, py))
}

func futuresMeasure(n counts, py *python) measure {
	return measure{
		Name: "futures", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openFutures(ctx, n.futures, forever) }},
			{oursCancel, func(ctx context.Context) (subject, error) { return openFutures(ctx, n.futures, cancellable) }},
			{oursDeadline, func(ctx context.Context) (subject, error) { return openFutures(ctx, n.futures, withDeadline) }},
			py.measures(pythonPool, "futures", n.pythonFutures),
			py.measures(pythonImap, "pool-imap", n.pythonFutures),
		},
		Rows: []rowSpec{
			{
				What: "futures, tiny calls", Unit: "per s", Side: ours, Figure: "per_second", Better: higher,
				Target:  aim(1_000_000),
				Against: []comparison{{Side: pythonPool, Target: aimAtLeast(80, 50)}, {Side: pythonImap}},
			},
			{
				What: "futures, cancellable context", Unit: "per s", Side: oursCancel, Figure: "per_second", Better: higher,
				Against: []comparison{{Side: ours, Target: aim(0.7)}, {Side: pythonPool}},
			},
			{
				What: "futures, deadline", Unit: "per s", Side: oursDeadline, Figure: "per_second", Better: higher,
				Against: []comparison{{Side: ours, Target: aim(0.7)}, {Side: pythonPool}},
			},
			{
				What: "allocations per call, host, in a batch", Unit: "allocs", Side: ours, Figure: "allocations", Better: lower,
				Target: aim(3),
			},
			{
				What: "CPU per call, host and workers, in a batch", Unit: "us", Side: ours, Figure: "cpu_us", Better: lower,
				Against: []comparison{{Side: pythonPool}},
			},
		},
	}
}

func mapMeasure(n counts, py *python) measure {
	return measure{
		Name: "map", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openMap(ctx, n.mapped) }},
			py.measures(pythonPool, "map", n.mapped),
			py.measures(pythonMap, "pool-map", n.mapped),
		},
		Rows: []rowSpec{{
			What: "Map over ints", Unit: "items per s", Side: ours, Figure: "per_second", Better: higher,
			Target: aim(3_000_000), Against: []comparison{{Side: pythonPool}, {Side: pythonMap}},
		}},
	}
}

func roundTripMeasure(n counts, py *python) measure {
	return measure{
		Name: "round-trip", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openCaller(ctx, n.roundTrips, false) }},
			{oursNoPolling, func(ctx context.Context) (subject, error) { return openCaller(ctx, n.roundTrips, true) }},
			{rawSocket, func(ctx context.Context) (subject, error) {
				peer, err := openSocketPeer(ctx, messageSize)
				return &exchangeRun{peer, n.roundTrips}, err
			}},
			{rawPinned, func(ctx context.Context) (subject, error) { return openPinned(ctx, n.roundTrips) }},
			{rawDescriptor, func(ctx context.Context) (subject, error) {
				peer, err := openDescriptorPeer(ctx, messageSize)
				return &exchangeRun{peer, n.roundTrips}, err
			}},
			py.measures(pythonPool, "round-trip", n.pythonTrips),
		},
		Rows: []rowSpec{
			{
				What: "round trip, one call at a time, p50", Unit: "us", Side: ours, Figure: "p50_us", Better: lower,
				Against: []comparison{
					{Side: rawSocket, Target: aimAtLeast(1.2, 2)},
					{Side: rawPinned, Target: aimAtLeast(1.2, 2)},
					{Side: rawDescriptor},
					{Side: oursNoPolling},
					{Side: pythonPool},
				},
			},
			{
				What: "round trip, p99", Unit: "us", Side: ours, Figure: "p99_us", Better: lower,
				Against: []comparison{{Side: rawSocket}, {Side: rawPinned}, {Side: rawDescriptor}, {Side: oursNoPolling}, {Side: pythonPool}},
			},
			{
				What: "allocations per call, host, alone", Unit: "allocs", Side: ours, Figure: "allocations", Better: lower,
				Target: aim(12),
			},
			{
				What: "CPU per call, host and workers, alone", Unit: "us", Side: ours, Figure: "cpu_us", Better: lower,
				Against: []comparison{{Side: rawSocket}, {Side: rawPinned}, {Side: oursNoPolling}, {Side: pythonPool}},
			},
		},
	}
}

func coldMeasure(n counts, py *python) measure {
	return measure{
		Name: "cold-start", Rounds: n.coldRounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openColdStart(ctx, partPoolHost) }},
			{barePlugin, func(ctx context.Context) (subject, error) { return openColdStart(ctx, partPluginHost) }},
			py.measures(pythonFork, "cold-fork"),
			py.measures(pythonSpawn, "cold-spawn"),
		},
		Rows: []rowSpec{{
			What: "cold start to first result", Unit: "ms", Side: ours, Figure: "ms", Better: lower,
			Against: []comparison{{Side: barePlugin, Target: aimAtLeast(2, 2.5)}, {Side: pythonFork}, {Side: pythonSpawn}},
		}},
	}
}

func echoMeasure(n counts, py *python, name string, size int, inline *target) measure {
	times := func(total int) int { return max(total/size, 1) }
	return measure{
		Name: fmt.Sprintf("echo-%s", name), Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openPoolEcho(ctx, times(n.echoBytes), size) }},
			{rawEcho, func(ctx context.Context) (subject, error) { return openSocketEcho(ctx, times(n.echoBytes), size) }},
			py.measures(pythonPool, "echo", times(n.pythonEchoBytes), size),
		},
		Rows: []rowSpec{{
			What: "echo of " + name + ", both ways", Unit: "GB/s", Side: ours, Figure: "gb_per_second", Better: higher,
			Against: []comparison{{Side: pythonPool, Target: inline}, {Side: rawEcho}},
		}},
	}
}

func streamMeasure(n counts) measure {
	return measure{
		Name: "stream", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openStream(ctx, n.streamed) }},
			{bareStream, func(ctx context.Context) (subject, error) { return openGRPCNumbers(ctx, n.streamed) }},
		},
		Rows: []rowSpec{{
			What: "values of one stream, small", Unit: "per s", Side: ours, Figure: "per_second", Better: higher,
			Target: aim(500_000), Against: []comparison{{Side: bareStream, Target: aim(0.5)}},
		}},
	}
}

func sessionMeasure(n counts) measure {
	return measure{
		Name: "session", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openSession(ctx, n.roundTrips) }},
			{oursCall, func(ctx context.Context) (subject, error) { return openCaller(ctx, n.roundTrips, false) }},
			{bareStream, func(ctx context.Context) (subject, error) { return openGRPCPong(ctx, n.roundTrips) }},
		},
		Rows: []rowSpec{
			{
				What: "a session's value and its answer, p50", Unit: "us", Side: ours, Figure: "p50_us", Better: lower,
				Against: []comparison{{Side: oursCall, Target: aim(1.5)}, {Side: bareStream}},
			},
			{
				What: "a session's value and its answer, p99", Unit: "us", Side: ours, Figure: "p99_us", Better: lower,
				Against: []comparison{{Side: oursCall}, {Side: bareStream}},
			},
		},
	}
}

func nestedMeasure(n counts) measure {
	return measure{
		Name: "nested", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openNested(ctx, n.roundTrips) }},
			{oursCall, func(ctx context.Context) (subject, error) { return openCaller(ctx, n.roundTrips, false) }},
		},
		Rows: []rowSpec{
			{
				What: "a call that a task makes of its pool, p50", Unit: "us", Side: ours, Figure: "p50_us", Better: lower,
				Against: []comparison{{Side: oursCall, Target: aim(2)}},
			},
			{
				What: "a call that a task makes of its pool, p99", Unit: "us", Side: ours, Figure: "p99_us", Better: lower,
				Against: []comparison{{Side: oursCall}},
			},
		},
	}
}

func crashMeasure(n counts, py *python) measure {
	return measure{
		Name: "crash", Rounds: n.crashRounds,
		Sides: []side{
			{ours, openCrash},
			py.measures(pythonPool, "crash", 1),
		},
		Rows: []rowSpec{{
			What: "SIGKILL of a busy worker to its error, p50", Unit: "ms", Side: ours, Figure: "ms", Better: lower,
			Target: aimAtLeast(3, 5), Against: []comparison{{Side: pythonPool}},
		}},
	}
}

func replaceMeasure(n counts) measure {
	return measure{
		Name: "replacement", Rounds: n.rounds,
		Sides: []side{
			{oursSpare, func(ctx context.Context) (subject, error) { return openReplace(ctx, n.replaced, 1) }},
			{ours, func(ctx context.Context) (subject, error) { return openReplace(ctx, n.replaced, 0) }},
		},
		Rows: []rowSpec{
			{
				What: "SIGKILL to the next call, by a spare, p50", Unit: "ms", Side: oursSpare, Figure: "p50_ms", Better: lower,
				Target: aim(5), Against: []comparison{{Side: ours}},
			},
			{
				What: "SIGKILL to the next call, by a spare, p99", Unit: "ms", Side: oursSpare, Figure: "p99_ms", Better: lower,
				Against: []comparison{{Side: ours}},
			},
		},
	}
}

func stormMeasure(n counts) measure {
	const deadly = 100
	work := func(name string, deadly int, c poolConfig) side {
		return side{name, func(ctx context.Context) (subject, error) { return openWork(ctx, n.worked, deadly, c) }}
	}
	return measure{
		Name: "crash-storm", Rounds: n.rounds,
		Sides: []side{
			work(ours, deadly, poolConfig{}),
			work(oursSpare, deadly, poolConfig{spares: 1}),
			work(oursNoCrashes, 0, poolConfig{}),
		},
		Rows: []rowSpec{
			{
				What: "calls of 1 ms, 1 % kill their worker", Unit: "per s", Side: ours, Figure: "per_second", Better: higher,
				Against: []comparison{{Side: oursNoCrashes}},
			},
			{
				What: "the same with a spare worker", Unit: "per s", Side: oursSpare, Figure: "per_second", Better: higher,
				Against: []comparison{{Side: oursNoCrashes}},
			},
		},
	}
}

func recyclingMeasure(n counts) measure {
	return measure{
		Name: "recycling", Rounds: n.rounds,
		Sides: []side{
			{oursRecycled, func(ctx context.Context) (subject, error) {
				return openWork(ctx, n.worked, 0, poolConfig{maxCalls: 25})
			}},
			{ours, func(ctx context.Context) (subject, error) { return openWork(ctx, n.worked, 0, poolConfig{}) }},
		},
		Rows: []rowSpec{{
			What: "calls of 1 ms, a new worker every 25", Unit: "per s", Side: oursRecycled, Figure: "per_second", Better: higher,
			Against: []comparison{{Side: ours, Target: aim(0.5)}},
		}},
	}
}

func queuedMeasure(n counts, py *python) measure {
	return measure{
		Name: "queued", Rounds: 3,
		Sides: []side{
			{ours, func(context.Context) (subject, error) { return queuedRun{n.queued}, nil }},
			py.measures(pythonPool, "queued", n.queued),
		},
		Rows: []rowSpec{{
			What: "host memory per queued tiny call", Unit: "bytes", Side: ours, Figure: "bytes", Better: lower,
			Target: aim(400), Against: []comparison{{Side: pythonPool, Figure: "bytes_per_call"}},
		}},
	}
}

func httpMeasure(n counts) measure {
	return measure{
		Name: "http", Rounds: n.rounds,
		Sides: []side{
			{ours, func(ctx context.Context) (subject, error) { return openHTTPBesideBusy(ctx, n.pings, false) }},
			{besideNoPolling, func(ctx context.Context) (subject, error) { return openHTTPBesideBusy(ctx, n.pings, true) }},
			{besideIdle, func(ctx context.Context) (subject, error) { return openHTTPBesideIdle(ctx, n.pings) }},
			{besideRaw, func(ctx context.Context) (subject, error) { return openHTTPBesideSocket(ctx, n.pings) }},
		},
		Rows: []rowSpec{
			{
				What: "loopback HTTP ping beside a busy pool, p50", Unit: "us", Side: ours, Figure: "p50_us", Better: lower,
				Against: []comparison{{Side: besideIdle}, {Side: besideNoPolling}, {Side: besideRaw}},
			},
			{
				What: "loopback HTTP ping beside a busy pool, p99", Unit: "us", Side: ours, Figure: "p99_us", Better: lower,
				Against: []comparison{{Side: besideIdle}, {Side: besideNoPolling}, {Side: besideRaw}},
			},
		},
	}
}

// aim is a target with one bound.
func aim(bound float64) *target { return &target{Aim: bound, AtLeast: bound} }

// aimAtLeast is a target with a weaker bound that must hold in any case.
func aimAtLeast(bound, atLeast float64) *target { return &target{Aim: bound, AtLeast: atLeast} }
