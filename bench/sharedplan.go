package main

import "context"

// pythonManager is what CPython has for state that processes share.
const pythonManager = "multiprocessing.Manager"

// sharedMeasures are those of shared state, which is used by the program or by tasks in
// workers, and beside it by processes of multiprocessing. The bounds are those of the
// issue that asked for shared state: docs/benchmarks/README.md explains each.
func sharedMeasures(n counts, py *python) []measure {
	one := func(name, what, script string, each int, open func(ctx context.Context) (subject, error)) measure {
		return measure{
			Name: name, Rounds: n.rounds,
			Sides: []side{{ours, open}, py.measures(pythonManager, script, each)},
			Rows: []rowSpec{{
				What: what, Unit: "per s", Side: ours, Figure: "per_second", Better: higher,
				Against: []comparison{{Side: pythonManager, Target: aim(5)}},
			}},
		}
	}
	return []measure{
		one("lock-program", "lock and unlock, by the program", "manager-lock", n.shared/10, func(ctx context.Context) (subject, error) {
			return openProgram(ctx, n.shared*10, lockOften)
		}),
		one("queue-program", "queue: items put, got and done, by the program", "manager-queue", n.shared/10, func(ctx context.Context) (subject, error) {
			return openProgram(ctx, n.shared*10, putMany, getMany)
		}),
		one("lock", "lock and unlock, by one task", "manager-lock", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared, locks)
		}),
		one("lock-contended", "lock and unlock, by each of two tasks", "manager-contended", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared, locks, locks)
		}),
		one("queue", "queue: items put, got and done, by tasks", "manager-queue", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared, puts, gets)
		}),
		one("queue-batches", "the same, 20 items at a time", "manager-queue", n.shared/10, func(ctx context.Context) (subject, error) {
			return openShared(ctx, n.shared*10, putsBatches, getsBatches)
		}),
	}
}
