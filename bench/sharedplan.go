package main

import "context"

// pythonManager is what CPython has for state that processes share.
const pythonManager = "multiprocessing.Manager"

// sharedMeasures are those of shared state. Each is done by tasks in workers, and beside
// it by processes of multiprocessing. The bounds are those of the issue that asked for
// shared state: docs/benchmarks/README.md explains each.
func sharedMeasures(n counts, py *python) []measure {
	one := func(name, what, script string, each int, open func(ctx context.Context) (subject, error)) measure {
		return measure{
			Name: name, Rounds: n.rounds,
			Sides: []side{{ours, open}, py.measures(pythonManager, script, each)},
			Rows: []rowSpec{{
				What: what, Unit: "per s", Side: ours, Figure: "per_second", Better: higher,
				Against: []comparison{{Side: pythonManager, Target: aim(5)}},
			}, {
				What: what + ", CPU", Unit: "us", Side: ours, Figure: "cpu_us", Better: lower,
				Against: []comparison{{Side: pythonManager}},
			}},
		}
	}
	return []measure{
		one("lock", "lock and unlock, by one task", "manager-lock", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared, locks)
		}),
		one("lock-contended", "lock and unlock, by each of two tasks", "manager-contended", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared, locks, locks)
		}),
		one("queue", "queue: items put, got and done", "manager-queue", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared, puts, gets)
		}),
	}
}
