package main

import "context"

// The sides of the measures of Python workers.
const (
	oursPython     = "Python workers"
	oursPythonCBOR = "Python workers, cbor"
	bareGrpcio     = "bare grpcio"
)

// The bounds of these measures are those of the issue that asked for Python workers:
// docs/benchmarks/README.md explains each.

func pythonFuturesMeasure(n counts, py *python) measure {
	return measure{
		Name: "python-futures", Rounds: n.rounds,
		Sides: []side{
			{oursPython, func(ctx context.Context) (subject, error) { return py.openFutures(ctx, n.pythonFutures) }},
			py.measures(pythonPool, "futures", n.pythonFutures),
			{bareGrpcio, func(ctx context.Context) (subject, error) { return py.openBareMessages(ctx, n.pythonFutures) }},
		},
		Rows: []rowSpec{{
			What: "Python: futures, tiny calls", Unit: "per s", Side: oursPython, Figure: "per_second", Better: higher,
			Against: []comparison{{Side: pythonPool, Target: aim(3)}, {Side: bareGrpcio}},
		}},
	}
}

func pythonTripMeasure(n counts, py *python) measure {
	return measure{
		Name: "python-round-trip", Rounds: n.rounds,
		Sides: []side{
			{oursPython, func(ctx context.Context) (subject, error) { return py.openCaller(ctx, n.pythonTrips) }},
			py.measures(pythonPool, "round-trip", n.pythonTrips),
			{bareGrpcio, func(ctx context.Context) (subject, error) { return py.openBarePong(ctx, n.pythonTrips) }},
		},
		Rows: []rowSpec{{
			What: "Python: round trip, one call at a time, p50", Unit: "us", Side: oursPython, Figure: "p50_us", Better: lower,
			Against: []comparison{{Side: pythonPool, Target: aim(1.5)}, {Side: bareGrpcio}},
		}, {
			What: "Python: round trip, p99", Unit: "us", Side: oursPython, Figure: "p99_us", Better: lower,
			Against: []comparison{{Side: pythonPool}, {Side: bareGrpcio}},
		}},
	}
}

func pythonEchoMeasure(n counts, py *python) measure {
	const size = 16 << 20
	times := max(n.pythonEchoBytes/size, 1)
	against := []comparison{{Side: pythonPool, Target: aim(1)}, {Side: bareGrpcio}}
	return measure{
		Name: "python-echo", Rounds: n.rounds,
		Sides: []side{
			{oursPython, func(ctx context.Context) (subject, error) { return py.openEcho(ctx, times, size, echo) }},
			{oursPythonCBOR, func(ctx context.Context) (subject, error) { return py.openEcho(ctx, times, size, echoCBOR) }},
			py.measures(pythonPool, "echo", times, size),
			{bareGrpcio, func(ctx context.Context) (subject, error) { return py.openBareEcho(ctx, times, size) }},
		},
		Rows: []rowSpec{{
			What: "Python: echo of 16 MiB, both ways", Unit: "GB/s", Side: oursPython, Figure: "gb_per_second", Better: higher,
			Against: against,
		}, {
			What: "Python: echo of 16 MiB, cbor", Unit: "GB/s", Side: oursPythonCBOR, Figure: "gb_per_second", Better: higher,
			Against: against,
		}},
	}
}

func pythonColdMeasure(n counts, py *python) measure {
	return measure{
		Name: "python-cold-start", Rounds: n.coldRounds,
		Sides: []side{
			{oursPython, py.openColdStart},
			py.measures(pythonSpawn, "cold-spawn"),
			{bareGrpcio, py.openBareStart},
		},
		Rows: []rowSpec{{
			What: "Python: cold start to first result", Unit: "ms", Side: oursPython, Figure: "ms", Better: lower,
			Against: []comparison{{Side: pythonSpawn, Target: aim(2)}, {Side: bareGrpcio}},
		}},
	}
}
