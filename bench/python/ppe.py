"""Measure CPython's process pools, for the table of `make bench`.

Usage: ppe.py MEASURE [COUNT [SIZE]]

Prints one JSON object. Only the standard library is used. The pool has two
workers, started by fork unless the measure says otherwise, as the pool it is
compared with has.
"""

import concurrent.futures
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from concurrent.futures.process import BrokenProcessPool

WORKERS = 2
WARM_UP = 200


def same(value):
    return value


def block(_):
    time.sleep(3600)


def pool(method="fork"):
    return concurrent.futures.ProcessPoolExecutor(
        max_workers=WORKERS, mp_context=multiprocessing.get_context(method)
    )


def warm(executor):
    for future in [executor.submit(same, i) for i in range(WARM_UP)]:
        future.result()


def cpu_seconds(executor):
    """CPU used so far by this process and the pool's live workers."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    total = usage.ru_utime + usage.ru_stime
    for pid in list(executor._processes):
        # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the Linux headers:
        # another process's CPU time in nanoseconds, where /proc has ticks.
        total += time.clock_gettime((~pid << 3) | 2)
    return total


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def futures(count):
    """Submit every call, then collect every result."""
    with pool() as executor:
        warm(executor)
        cpu = cpu_seconds(executor)
        start = time.perf_counter()
        pending = [executor.submit(same, i) for i in range(count)]
        for future in pending:
            future.result()
        elapsed = time.perf_counter() - start
        cpu = cpu_seconds(executor) - cpu
    return {"per_second": count / elapsed, "cpu_us": cpu / count * 1e6}


def round_trip(count):
    """One call at a time: submit, then wait for its result."""
    with pool() as executor:
        warm(executor)
        cpu = cpu_seconds(executor)
        took = []
        for i in range(count):
            start = time.perf_counter()
            executor.submit(same, i).result()
            took.append(time.perf_counter() - start)
        cpu = cpu_seconds(executor) - cpu
    took.sort()
    return {
        "p50_us": percentile(took, 0.50) * 1e6,
        "p99_us": percentile(took, 0.99) * 1e6,
        "cpu_us": cpu / count * 1e6,
    }


def mapped(count):
    """Map over ints, a thousand to a message."""
    with pool() as executor:
        warm(executor)
        start = time.perf_counter()
        seen = sum(1 for _ in executor.map(same, range(count), chunksize=1000))
        elapsed = time.perf_counter() - start
    if seen != count:
        raise RuntimeError(f"map gave {seen} results for {count} items")
    return {"per_second": count / elapsed}


def multiprocessing_pool(count, run):
    """The older pool of the standard library, which has no futures."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as workers:
        workers.map(same, range(WARM_UP))
        start = time.perf_counter()
        seen = sum(1 for _ in run(workers))
        elapsed = time.perf_counter() - start
    if seen != count:
        raise RuntimeError(f"the pool gave {seen} results for {count} items")
    return {"per_second": count / elapsed}


def echo(count, size):
    """Send a payload and get it back, one at a time; both ways are counted."""
    payload = bytes(size)
    with pool() as executor:
        warm(executor)
        executor.submit(same, payload).result()
        start = time.perf_counter()
        for _ in range(count):
            if len(executor.submit(same, payload).result()) != size:
                raise RuntimeError("the echo came back with another length")
        elapsed = time.perf_counter() - start
    return {"gb_per_second": 2 * size * count / elapsed / 1e9}


def cold(method):
    """From building the pool to its first result; run in a fresh process."""
    start = time.perf_counter()
    executor = pool(method)
    executor.submit(same, 7).result()
    elapsed = time.perf_counter() - start
    executor.shutdown()
    return {"ms": elapsed * 1e3}


def crash(count):
    """SIGKILL of the busy worker to the error of its future, a pool each time."""
    took = []
    for _ in range(count):
        executor = concurrent.futures.ProcessPoolExecutor(
            max_workers=1, mp_context=multiprocessing.get_context("fork")
        )
        pid = executor.submit(os.getpid).result()
        future = executor.submit(block, 0)
        while not future.running():
            time.sleep(0.001)
        # "Running" means handed over; let the worker really take it.
        time.sleep(0.005)
        start = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        try:
            future.result()
        except BrokenProcessPool:
            took.append(time.perf_counter() - start)
        executor.shutdown()
    took.sort()
    return {"ms": percentile(took, 0.50) * 1e3}


def resident():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def queued(count):
    """Growth of this process with calls queued behind blocked workers."""
    executor = pool()
    warm(executor)
    # Two run and the call queue takes a few more; the rest really is queued.
    for _ in range(WORKERS):
        executor.submit(block, 0)
    before = resident()
    pending = [executor.submit(same, i) for i in range(count)]
    grown = resident() - before
    assert not any(future.done() for future in pending)
    for pid in list(executor._processes):
        os.kill(pid, signal.SIGKILL)
    print(json.dumps({"bytes_per_call": grown / count}), flush=True)
    # A hundred thousand broken futures are slow to tear down and are not what
    # is measured.
    os._exit(0)


def at_once(works):
    """Run functions in processes of their own; the time from when all are ready."""
    ready = multiprocessing.Barrier(len(works) + 1)

    def run(work):
        ready.wait()
        work()

    processes = [multiprocessing.Process(target=run, args=(w,)) for w in works]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    elapsed = time.perf_counter() - start
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process has failed")
    return elapsed


def manager_lock(count, processes):
    """Processes that lock and unlock one lock of a manager."""
    with multiprocessing.Manager() as manager:
        lock = manager.Lock()

        def work():
            for _ in range(count):
                lock.acquire()
                lock.release()

        return {"per_second": count / at_once([work] * processes)}


def manager_queue(count):
    """A process that puts items into a manager's queue, and one that gets them."""
    with multiprocessing.Manager() as manager:
        queue = manager.JoinableQueue(100)

        def put():
            for i in range(count):
                queue.put(i)

        def get():
            for _ in range(count):
                queue.get()
                queue.task_done()

        return {"per_second": count / at_once([put, get])}


def main(arguments):
    measure = arguments[0]
    count = int(arguments[1]) if len(arguments) > 1 else 0
    size = int(arguments[2]) if len(arguments) > 2 else 0
    measures = {
        "version": dict,
        "futures": lambda: futures(count),
        "round-trip": lambda: round_trip(count),
        "map": lambda: mapped(count),
        "pool-imap": lambda: multiprocessing_pool(
            count, lambda workers: workers.imap(same, range(count))
        ),
        "pool-map": lambda: multiprocessing_pool(
            count, lambda workers: workers.map(same, range(count))
        ),
        "echo": lambda: echo(count, size),
        "cold-fork": lambda: cold("fork"),
        "cold-spawn": lambda: cold("spawn"),
        "crash": lambda: crash(count),
        "queued": lambda: queued(count),
        "manager-lock": lambda: manager_lock(count, 1),
        "manager-contended": lambda: manager_lock(count, 2),
        "manager-queue": lambda: manager_queue(count),
    }
    if measure not in measures:
        sys.exit(f"ppe.py: no measure {measure!r}; there are {', '.join(measures)}")
    print(json.dumps(measures[measure]()))


if __name__ == "__main__":
    main(sys.argv[1:])
