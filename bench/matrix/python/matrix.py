"""Lets one event of the crash matrix happen to one of CPython's process pools.

Usage: matrix.py POOL EVENT FOLDER PATIENCE

It does as host.go does for procpool, and reports in the same words: a JSON object
a line on standard output. Only the standard library is used, and each pool starts
its workers the way it does by default.
"""

import concurrent.futures
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

POOL_SIZE = 2
SETTLE = 0.2


# What the workers run.


def square(n):
    return n * n


def say_started(path):
    with open(path + ".half", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".half", path + ".started")


def gate(path):
    """Runs until its file is there."""
    say_started(path)
    while not os.path.exists(path):
        time.sleep(0.005)


def deed(how, path):
    gate(path)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "exit":
        os._exit(3)
    elif how == "panic":
        raise RuntimeError("a bug of the task")
    elif how == "goexit":
        sys.exit(4)
    elif how == "odd":
        raise OddError("two", "arguments")
    raise ValueError(how)


def deaf(path, seconds):
    say_started(path)
    time.sleep(seconds)


def child(path):
    """Starts a program and waits for it."""
    program = subprocess.Popen(["sleep", "60"])
    say_started(path)
    program.wait()


def initialize(path):
    """Counts how often it was tried, and fails."""
    with open(path, "a") as file:
        file.write("x")
    raise RuntimeError("the model is not there")


class OddError(Exception):
    """Pickles with one argument and wants two."""

    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


def fail(text):
    raise RuntimeError(text)


class FailsToEncode:
    def __reduce__(self):
        raise RuntimeError("this can't be encoded")


class FailsToDecode:
    def __reduce__(self):
        return fail, ("this can't be decoded",)


def take(value):
    return 0


def give_rough(n):
    return FailsToDecode()


def give_unwritable(n):
    return lambda: n


def bad_callback(_):
    raise RuntimeError("a bug of the callback")


# The two pools, with the same few verbs.


class Executor:
    def __init__(self, **options):
        self.pool = ProcessPoolExecutor(POOL_SIZE, **options)

    def submit(self, task, *arguments):
        return self.pool.submit(task, *arguments)

    def submit_with_callbacks(self, task, argument, *callbacks):
        future = self.pool.submit(task, argument)
        for callback in callbacks:
            future.add_done_callback(callback)
        return future

    def result(self, future, seconds):
        return future.result(seconds)

    def workers(self):
        return list(self.pool._processes)

    def close(self):
        self.pool.shutdown()


class Pool:
    def __init__(self, **options):
        self.pool = multiprocessing.Pool(POOL_SIZE, **options)

    def submit(self, task, *arguments):
        return self.pool.apply_async(task, arguments)

    def submit_with_callbacks(self, task, argument, *callbacks):
        # It has one callback for each call.
        def both(value):
            for callback in callbacks:
                callback(value)

        return self.pool.apply_async(task, (argument,), callback=both)

    def result(self, call, seconds):
        return call.get(seconds)

    def workers(self):
        return [process.pid for process in self.pool._pool]

    def close(self):
        self.pool.terminate()
        self.pool.join()


POOLS = {"ProcessPoolExecutor": Executor, "multiprocessing.Pool": Pool}


class Host:
    def __init__(self, kind, event, folder, patience):
        self.kind, self.event, self.folder, self.patience = kind, event, folder, patience
        self.pool = None

    def tell(self, of, fate):
        print(json.dumps({of: fate}), flush=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def open(self, name):
        open(self.path(name), "w").close()

    def started(self, name):
        """Waits until a call runs and returns its process."""
        path = self.path(name + ".started")
        deadline = time.monotonic() + self.patience
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the call {name} does not start")
            time.sleep(0.005)
        with open(path) as file:
            return int(file.read())

    def start(self, **options):
        """Makes the pool, and has it start all its workers."""
        self.pool = POOLS[self.kind](**options)
        names = [f"warm{i}" for i in range(POOL_SIZE)]
        calls = [self.pool.submit(gate, self.path(name)) for name in names]
        for name in names:
            self.started(name)
            self.open(name)
        for call in calls:
            self.pool.result(call, self.patience)

    def submit(self, *call):
        """Submits and returns how to learn the call's fate."""
        try:
            handle = self.pool.submit(*call)
        except BaseException as error:
            name = type(error).__name__
            return lambda: name
        return lambda: self.fate(handle)

    def fate(self, handle):
        try:
            self.pool.result(handle, self.patience)
        except (concurrent.futures.TimeoutError, multiprocessing.TimeoutError):
            return "hang"
        except BaseException as error:
            return type(error).__name__
        return "ok"

    def close(self):
        closing = threading.Thread(target=self.pool.close, daemon=True)
        closing.start()
        closing.join(self.patience)
        self.tell("close", "hang" if closing.is_alive() else "ok")

    def among(self, happen):
        """See among in host.go."""
        self.start()
        neighbour = self.submit(gate, self.path("neighbour"))
        fate = happen(self.started("neighbour"))
        pending = [self.submit(square, i) for i in range(3)]
        self.open("call")
        self.tell("call", fate())
        self.open("neighbour")
        self.tell("neighbour", neighbour())
        fates = [wait() for wait in pending]
        self.tell("pending", fates[0] if len(set(fates)) == 1 else ", ".join(fates))
        self.tell("next", self.submit(square, 9)())
        self.close()

    # What happens. Each returns how to learn what became of its call.

    def in_task(self, _):
        fate = self.submit(deed, self.event, self.path("call"))
        self.started("call")
        return fate

    def interrupt(self, _):
        fate = self.submit(gate, self.path("call"))
        os.kill(self.started("call"), signal.SIGINT)
        return fate

    def kill_idle(self, neighbour):
        os.kill(next(p for p in self.pool.workers() if p != neighbour), signal.SIGKILL)
        time.sleep(SETTLE)
        return lambda: "-"

    def callback(self, _):
        second = threading.Event()
        call = self.pool.submit_with_callbacks(
            gate, self.path("call"), bad_callback, lambda _: second.set()
        )
        self.started("call")

        def fate():
            told = self.fate(call)
            if told == "ok" and not second.wait(self.patience):
                return "the second callback is not called"
            return told

        return fate

    def cancel(self, _):
        call = self.pool.submit(gate, self.path("call"))
        self.started("call")
        cancelled = call.cancel()
        return lambda: self.fate(call) if cancelled else "it can't be cancelled"

    def stop_running(self, _):
        fate = self.submit(gate, self.path("stopped"))
        os.kill(self.started("stopped"), signal.SIGSTOP)
        return fate

    def bad_initializer(self):
        starts = self.path("starts")
        self.pool = POOLS[self.kind](initializer=initialize, initargs=(starts,))
        fate = self.submit(square, 1)()
        self.tell("call", f"{fate}, starts: {os.path.getsize(starts)}")
        self.close()

    def cancel_many(self, _):
        n = 8
        calls = [self.pool.submit(gate, self.path(str(i))) for i in range(n)]
        self.started("0")
        time.sleep(SETTLE)
        cancelled = sum(call.cancel() for call in calls)
        for i in range(n):
            self.open(str(i))
        return lambda: f"{cancelled} of {n} cancelled"

    def occupied(self):
        for i in range(POOL_SIZE):
            self.pool.submit(deaf, self.path(str(i)), 4)
        return [self.started(str(i)) for i in range(POOL_SIZE)]

    def stop_all(self):
        for pid in self.occupied():
            os.kill(pid, signal.SIGSTOP)

    def start_programs(self):
        for i in range(POOL_SIZE):
            self.pool.submit(child, self.path(str(i)))
        for i in range(POOL_SIZE):
            self.started(str(i))

    def to_be_killed(self, occupy):
        self.start()
        occupy()
        self.tell("ready", "ok")
        signal.pause()

    def play(self):
        def value(*call):
            return lambda: self.among(lambda _: self.submit(*call))

        happens = {
            "interrupt": self.interrupt,
            "idle": self.kill_idle,
            "callback": self.callback,
            "cancel": self.cancel,
            "cancel-many": self.cancel_many,
            "stop": self.stop_running,
        }
        whole = {
            "argument-encode": value(take, lambda: 0),
            "argument-encoder": value(take, FailsToEncode()),
            "argument-decode": value(take, FailsToDecode()),
            "result-encode": value(give_unwritable, 1),
            "result-decode": value(give_rough, 1),
            "initializer": self.bad_initializer,
            "host-idle": lambda: self.to_be_killed(lambda: None),
            "host-busy": lambda: self.to_be_killed(self.occupied),
            "host-stopped": lambda: self.to_be_killed(self.stop_all),
            "host-children": lambda: self.to_be_killed(self.start_programs),
        }
        if self.event in whole:
            whole[self.event]()
        else:
            self.among(happens.get(self.event, self.in_task))


if __name__ == "__main__":
    Host(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])).play()
    # Whatever hangs in this process is not waited for.
    os._exit(0)
