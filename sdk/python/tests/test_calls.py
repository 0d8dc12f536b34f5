from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2
import pytest

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from conftest import Start

WORKER = """
    import sys
    from collections.abc import Iterator
    import procpool

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task(codecs=("raw",))
    def echo(data: bytes) -> bytes:
        return data

    @procpool.task()
    def leave(status: int) -> int:
        sys.exit(status)

    @procpool.task()
    def interrupt() -> int:
        raise KeyboardInterrupt

    @procpool.task()
    def deep(n: int) -> int:
        return deep(n + 1)

    @procpool.task()
    def hungry() -> bytes:
        return b"x" * (1 << 60)

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no")

    @procpool.task()
    def mute() -> int:
        raise Mute

    @procpool.task()
    def sees() -> list:
        call = procpool._runtime.current_call.get()
        return [call.seq, call.attempt, dict(call.metadata), call.deadline is not None]

    @procpool.stream()
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    procpool.serve()
"""


def test_a_call(start: Start) -> None:
    worker = start(WORKER)
    outcome = worker.call("square", b"\x07")
    assert outcome.inline == cbor2.dumps(49)
    assert outcome.run_nanos > 0


def test_a_pack_is_answered_item_by_item(start: Start) -> None:
    worker = start(WORKER)
    items = [cbor2.dumps(n) for n in (1, 300, 70000)]
    first = worker.start("square", b"".join(items), item_sizes=[len(item) for item in items])
    results = [cbor2.loads(worker.outcome(first + i).inline) for i in range(3)]
    assert results == [1, 90000, 4900000000]


def test_thousands_of_small_calls_in_every_shape(start: Start) -> None:
    worker = start(WORKER)
    wanted = {}
    for n in range(0, 4000, 40):
        # Some alone, some side by side in a message, some packed.
        wanted[worker.start("square", cbor2.dumps(n))] = n
        tasks = [worker.task("square", cbor2.dumps(n + i)) for i in range(1, 20)]
        worker.send(pb.WorkRequest(tasks=tasks))
        wanted.update({task.seq: n + i for i, task in enumerate(tasks, 1)})
        items = [cbor2.dumps(n + i) for i in range(20, 40)]
        first = worker.start("square", b"".join(items), item_sizes=[len(item) for item in items])
        wanted.update({first + i: n + 20 + i for i in range(20)})
    worker.outcome(max(wanted))
    results = {o.seq: cbor2.loads(o.inline) for o in worker.taken(pb.Outcome)}
    results[max(wanted)] = max(wanted.values()) ** 2
    assert results == {seq: n * n for seq, n in wanted.items()}


@pytest.mark.parametrize("size", [0, 1, 4095, 40_000, 70_000, 300_000, 20 << 20])
def test_payloads_of_all_sizes(start: Start, size: int) -> None:
    worker = start(WORKER)
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    for _ in range(2):
        assert worker.call("echo", data).inline == data


def test_what_a_call_sees(start: Start) -> None:
    worker = start(WORKER)
    seen = worker.call(
        "sees", b"\xf6", metadata={"tenant": "a"}, attempt=3, timeout_nanos=10**12, seq=9
    )
    assert cbor2.loads(seen.inline) == [9, 3, {"tenant": "a"}, True]
    seen = worker.call("sees", b"\xf6", seq=10)
    assert cbor2.loads(seen.inline) == [10, 1, {}, False]


@pytest.mark.parametrize(
    ("name", "argument", "kind", "text"),
    [
        ("leave", b"\x04", pb.FAILURE_KIND_EXIT, "4"),
        ("interrupt", b"\xf6", pb.FAILURE_KIND_TASK, ""),
        ("deep", b"\x00", pb.FAILURE_KIND_TASK, "recursion"),
        ("hungry", b"\xf6", pb.FAILURE_KIND_TASK, ""),
        ("mute", b"\xf6", pb.FAILURE_KIND_TASK, ""),
        ("square", b"\xff", pb.FAILURE_KIND_CODEC, ""),
        (4294967295, b"", pb.FAILURE_KIND_UNKNOWN_TASK, "no task"),
        ("count", b"\x01", pb.FAILURE_KIND_UNKNOWN_TASK, "is a stream"),
    ],
)
def test_failures_that_a_worker_survives(
    start: Start, name: str | int, argument: bytes, kind: int, text: str
) -> None:
    worker = start(WORKER)
    failure = worker.call(name, argument).failure
    assert failure.kind == kind
    assert text in failure.message
    assert failure.language == "python"
    if isinstance(name, str):
        assert failure.task == name
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)


def test_too_large_a_result_fails_its_call_only(start: Start) -> None:
    worker = start(WORKER, max_payload=1000)
    assert worker.call("echo", b"x" * 1000).inline == b"x" * 1000
    # The fake host keeps to no limit in what it sends.
    failure = worker.call("echo", b"x" * 1001).failure
    assert failure.kind == pb.FAILURE_KIND_TOO_LARGE
    assert "1001" in failure.message
    assert worker.call("echo", b"y").inline == b"y"


def test_a_lane_that_is_not_there_ends_the_stream(start: Start) -> None:
    worker = start(WORKER)
    worker.send(pb.WorkRequest(tasks=[pb.Task(seq=1, lane=1)]))
    assert "lane 1 is not open" in str(worker.violation())


def test_pings_are_answered_while_a_call_runs(start: Start) -> None:
    worker = start(
        """
        import time, procpool
        @procpool.task()
        def compute(seconds: float) -> float:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
            return seconds
        procpool.serve()
        """
    )
    seq = worker.start("compute", cbor2.dumps(1.0))
    assert [worker.ping(n).id for n in range(1, 6)] == [1, 2, 3, 4, 5]
    assert worker.ping(6).memory_bytes > 1 << 20
    assert not worker.taken(pb.Outcome)
    assert cbor2.loads(worker.outcome(seq).inline) == 1.0


def test_without_a_recorder(start: Start) -> None:
    worker = start(WORKER, recorder=False)
    assert not worker.response.recorder_open
    assert "recorder" not in worker.response.capabilities
    for n in range(200):
        assert cbor2.loads(worker.call("square", cbor2.dumps(n)).inline) == n * n
