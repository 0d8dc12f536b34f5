from __future__ import annotations

import random
from typing import TYPE_CHECKING

import cbor2
import pytest

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

WORKER = """
    import os, time
    import procpool

    seen = []

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task()
    def sleep(path: str) -> str:
        try:
            open(path, "w").close()
            time.sleep(3600)
        except procpool.Cancelled:
            seen.append(path)
            raise

    @procpool.task()
    def spin(path: str) -> str:
        open(path, "w").close()
        while True:
            pass

    class Busy:
        def __del__(self):
            for _ in range(50):
                pass

    @procpool.task()
    def swallow(path: str) -> str:
        while True:
            Busy()  # nearly always in __del__, where nothing can be raised

    @procpool.task()
    def stubborn(path: str) -> str:
        try:
            open(path, "w").close()
            time.sleep(3600)
        except BaseException as error:
            return type(error).__name__

    @procpool.task()
    def watch(path: str) -> bool:
        call = procpool._runtime.current_call.get()
        try:
            open(path, "w").close()
            while not call.cancelled:
                time.sleep(0.001)
            time.sleep(3600)
        except procpool.Cancelled:
            return call.cancelled

    @procpool.task()
    def what_was_seen() -> list:
        return seen

    @procpool.task()
    def short(n: int) -> int:
        # Long enough for a Cancel to find it at times, and in every place.
        total = 0
        for i in range(n % 40):
            total += i
        return n

    procpool.serve()
"""


@pytest.mark.parametrize("name", ["sleep", "spin"])
def test_a_running_call_is_interrupted(start: Start, tmp_path: Path, name: str) -> None:
    worker = start(WORKER)
    for n in range(3):
        path = tmp_path / str(n)
        seq = worker.start(name, cbor2.dumps(str(path)))
        assert worker.page
        worker.page.wait_until(path.exists, "the start")
        worker.cancel(seq)
        failure = worker.outcome(seq).failure
        assert failure.kind == pb.FAILURE_KIND_TASK
        assert failure.type.endswith("Cancelled")
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
    seen = cbor2.loads(worker.call("what_was_seen", b"\xf6").inline)
    assert seen == ([str(tmp_path / str(n)) for n in range(3)] if name == "sleep" else [])


def test_a_task_may_answer_all_the_same(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    for name, wanted in (("stubborn", "Cancelled"), ("watch", True)):
        path = tmp_path / name
        seq = worker.start(name, cbor2.dumps(str(path)))
        assert worker.page
        worker.page.wait_until(path.exists, "the start")
        worker.cancel(seq)
        assert cbor2.loads(worker.outcome(seq).inline) == wanted


def test_a_call_that_waits_is_declined(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    path = tmp_path / "first"
    first = worker.start("sleep", cbor2.dumps(str(path)))
    items = [cbor2.dumps(n) for n in range(4)]
    pack = worker.start("square", b"".join(items), item_sizes=[len(item) for item in items])
    assert worker.page
    worker.page.wait_until(path.exists, "the start")
    worker.cancel(pack + 1)
    worker.cancel(pack + 3)
    worker.ping(1)  # behind the cancels
    worker.cancel(first)
    kinds = [worker.outcome(pack + i).WhichOneof("result") for i in range(4)]
    assert kinds == ["inline", "declined", "inline", "declined"]


def test_cancels_of_what_is_over_or_never_comes_hit_nothing(start: Start) -> None:
    worker = start(WORKER)
    worker.call("square", b"\x07")
    for seq in [0, 1, 1, 5000, 2**64 - 1]:
        worker.cancel(seq)
    worker.ping(1)
    for n in range(100):
        assert cbor2.loads(worker.call("square", cbor2.dumps(n)).inline) == n * n


def test_no_call_ever_gets_the_cancel_of_another(start: Start) -> None:
    """Thousands of calls of microseconds, a part of which is given up at any moment.

    Which of them a cancel finds waiting, at work or over is chance: each may be so.
    """
    worker = start(WORKER)
    chance = random.Random(5)
    cancelled: set[int] = set()
    wanted: dict[int, int] = {}
    for _ in range(60):
        tasks = []
        for _ in range(50):
            n = chance.randrange(1 << 20)
            tasks.append(worker.task("short", cbor2.dumps(n)))
            wanted[tasks[-1].seq] = n
        items = [cbor2.dumps(chance.randrange(1 << 20)) for _ in range(50)]
        pack = worker.task("short", b"".join(items), item_sizes=[len(item) for item in items])
        wanted.update({pack.seq + i: cbor2.loads(item) for i, item in enumerate(items)})
        worker.send(pb.WorkRequest(tasks=[*tasks, pack]))
        # Some are over by now, one is about to run, most wait.
        for seq in chance.sample(range(tasks[0].seq, pack.seq + 50), 25):
            worker.cancel(seq)
            cancelled.add(seq)
    last = worker.start("square", b"\x07")
    worker.outcome(last)
    outcomes = {o.seq: o for o in worker.taken(pb.Outcome)}
    assert set(outcomes) == set(wanted)
    for seq, outcome in outcomes.items():
        kind = outcome.WhichOneof("result")
        if kind == "inline":
            assert cbor2.loads(outcome.inline) == wanted[seq]
        else:
            assert seq in cancelled, f"call {seq} got {outcome}"
            assert kind in ("declined", "failure")
        if kind == "failure":
            assert outcome.failure.type.endswith("Cancelled")


@pytest.mark.parametrize(("name", "times"), [("spin", 400), ("sleep", 1000), ("swallow", 40)])
def test_a_cancel_at_any_moment_is_not_lost(
    start: Start, tmp_path: Path, name: str, times: int
) -> None:
    """Calls that never end by themselves, cancelled as early as can be and later."""
    worker = start(WORKER)
    chance = random.Random(7)
    seqs = []
    for n in range(times):
        seq = worker.start(name, cbor2.dumps(str(tmp_path / "mark")))
        for _ in range(chance.randrange(3)):
            worker.ping(n)  # a while, in which it may start
        worker.cancel(seq)
        seqs.append(seq)
        if n % 5 == 4:
            worker.outcome(seq)
    for seq in seqs:
        if seq % 5:
            worker.outcome(seq)
