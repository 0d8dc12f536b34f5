from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2
import pytest

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start
    from host import Worker

WORKER = """
    import asyncio, os, time
    from collections.abc import AsyncIterator, Iterator
    import procpool

    notes = []

    @procpool.task()
    def noted() -> list:
        return notes

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.stream()
    def count(n: int) -> Iterator[int]:
        try:
            for i in range(n):
                yield i
        finally:
            notes.append("count ended")

    @procpool.stream()
    async def acount(n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        finally:
            notes.append("acount ended")

    @procpool.stream()
    def fails(n: int) -> Iterator[int]:
        yield from range(n)
        raise ValueError("enough")

    @procpool.stream()
    async def afails(n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i
        raise ValueError("enough")

    @procpool.stream(codecs=("raw",))
    def sizes(text: bytes) -> Iterator[bytes]:
        for size in text.decode().split():
            yield b"x" * int(size)

    @procpool.stream()
    def careful(_: None) -> Iterator[object]:
        for value in (1, notes.append, 2):
            try:
                yield value
            except Exception as error:
                notes.append(type(error).__name__)

    @procpool.stream()
    def watches(_: None) -> Iterator[int]:
        try:
            while True:
                yield 1
        except BaseException as error:
            notes.append(type(error).__name__)
            raise

    @procpool.stream()
    async def awatches(_: None) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        except BaseException as error:
            notes.append(type(error).__name__)
            raise

    @procpool.stream()
    def slow(path: str) -> Iterator[int]:
        yield 1
        while not os.path.exists(path):
            time.sleep(0.001)
        yield 2

    @procpool.session()
    def total(start: int, values: Iterator[int]) -> Iterator[int]:
        for value in values:
            start += value
            yield start
        notes.append("total saw the end")

    @procpool.session()
    async def atotal(start: int, values: AsyncIterator[int]) -> AsyncIterator[int]:
        async for value in values:
            start += value
            yield start
        notes.append("atotal saw the end")

    @procpool.session(codecs=("raw",))
    def lengths(_: bytes, values: Iterator[bytes]) -> Iterator[bytes]:
        for value in values:
            yield str(len(value)).encode()

    @procpool.session()
    def first(n: int, values: Iterator[int]) -> Iterator[int]:
        for _ in range(n):
            yield next(values)

    procpool.serve()
"""
NOTHING = b"\xf6"


def values_of(worker: Worker, seq: int) -> list[object]:
    return [cbor2.loads(v.inline) for v in worker.taken(pb.StreamValue) if v.seq == seq]


def noted(worker: Worker) -> list[str]:
    return list(cbor2.loads(worker.call("noted", NOTHING).inline))


def send(worker: Worker, seq: int, *encoded: bytes, end: bool = False) -> None:
    values = [pb.StreamValue(seq=seq, inline=value) for value in encoded]
    if end:
        values.append(pb.StreamValue(seq=seq, end=True))
    worker.send(pb.WorkRequest(values=values))


def grant(worker: Worker, seq: int, values: int, size: int = 1 << 20) -> None:
    worker.send(pb.WorkRequest(credits=[pb.Credit(seq=seq, values=values, bytes=size)]))


def stream(worker: Worker, name: str, argument: bytes, credit: int, size: int = 1 << 20) -> int:
    return worker.start(name, argument, result_credit=credit, result_credit_bytes=size)


@pytest.mark.parametrize("name", ["count", "acount"])
def test_a_stream_sends_all_values_and_ends(start: Start, name: str) -> None:
    worker = start(WORKER)
    for n in (0, 1, 5000):
        seq = stream(worker, name, cbor2.dumps(n), 10000)
        outcome = worker.outcome(seq)
        assert not outcome.HasField("failure")
        assert not outcome.inline
        assert values_of(worker, seq) == list(range(n))
    assert noted(worker) == [f"{name} ended"] * 3


@pytest.mark.parametrize("name", ["count", "acount"])
def test_a_stream_keeps_to_its_credit(start: Start, name: str) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    seq = stream(worker, name, cbor2.dumps(10), 3)
    got: list[object] = []
    for n in (3, 1, 4, 1, 1):
        for _ in range(n):
            got.append(cbor2.loads(worker.wait(pb.StreamValue).inline))
        if len(got) < 10:
            page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
        assert not worker.taken(pb.StreamValue)
        grant(worker, seq, {3: 1, 4: 4, 8: 1, 9: 1, 10: 1}[len(got)])
    assert got == list(range(10))
    worker.outcome(seq)
    assert page.read("waiting_since") == 0


def test_credit_of_bytes_may_be_overdrawn_by_one_value(start: Start) -> None:
    worker = start(WORKER)
    seq = stream(worker, "sizes", b"10 90 300 5", 100, 100)
    assert [len(worker.wait(pb.StreamValue).inline) for _ in range(2)] == [10, 90]
    worker.ping(1)
    assert not worker.taken(pb.StreamValue)
    grant(worker, seq, 0, 1)
    assert len(worker.wait(pb.StreamValue).inline) == 300
    grant(worker, seq, 0, 299)
    worker.ping(2)
    assert not worker.taken(pb.StreamValue)
    grant(worker, seq, 0, 1)
    assert len(worker.wait(pb.StreamValue).inline) == 5
    worker.outcome(seq)


def test_values_of_all_sizes(start: Start) -> None:
    worker = start(WORKER)
    sizes = [0, 1, 4095, 32767, 32768, 70000, 3 << 20, 2]
    text = " ".join(map(str, sizes)).encode()
    seq = stream(worker, "sizes", text, 100, 1 << 30)
    worker.outcome(seq)
    assert [len(v.inline) for v in worker.taken(pb.StreamValue)] == sizes


def test_the_first_value_comes_while_the_task_goes_on(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    path = tmp_path / "go"
    seq = stream(worker, "slow", cbor2.dumps(str(path)), 10)
    assert worker.wait(pb.StreamValue).inline == b"\x01"
    path.touch()
    worker.outcome(seq)
    assert values_of(worker, seq) == [2]


@pytest.mark.parametrize("name", ["fails", "afails"])
def test_values_before_a_failure_arrive(start: Start, name: str) -> None:
    worker = start(WORKER)
    seq = stream(worker, name, cbor2.dumps(3), 100)
    failure = worker.outcome(seq).failure
    assert (failure.kind, failure.message) == (pb.FAILURE_KIND_TASK, "enough")
    assert values_of(worker, seq) == [0, 1, 2]


def test_what_cannot_be_sent_fails_where_it_is_sent(start: Start) -> None:
    worker = start(WORKER)
    seq = stream(worker, "careful", NOTHING, 100)
    assert not worker.outcome(seq).HasField("failure")
    assert values_of(worker, seq) == [1, 2]
    assert noted(worker) == ["CodecFailure"]


def test_too_large_a_value(start: Start) -> None:
    worker = start(WORKER, max_payload=1000)
    seq = stream(worker, "sizes", b"1000 1001", 100)
    failure = worker.outcome(seq).failure
    assert failure.kind == pb.FAILURE_KIND_TOO_LARGE
    assert "a value of task 'sizes' has 1001 bytes" in failure.message
    assert [len(v.inline) for v in worker.taken(pb.StreamValue)] == [1000]


@pytest.mark.parametrize(
    ("name", "error"), [("watches", "Cancelled"), ("awatches", "CancelledError")]
)
def test_a_cancel_wakes_who_waits_for_credit(start: Start, name: str, error: str) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    for _ in range(3):
        seq = stream(worker, name, NOTHING, 3)
        for _ in range(3):
            worker.wait(pb.StreamValue)
        page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
        worker.cancel(seq)
        assert worker.outcome(seq).failure.type.endswith("Cancelled")
    assert noted(worker) == [error] * 3


@pytest.mark.parametrize("name", ["watches", "awatches"])
def test_a_cancel_stops_who_sends(start: Start, name: str) -> None:
    worker = start(WORKER)
    for n in range(20):
        seq = stream(worker, name, NOTHING, 1 << 20, 1 << 30)
        for _ in range(n):
            worker.wait(pb.StreamValue)
        worker.cancel(seq)
        outcome = worker.outcome(seq)
        assert outcome.WhichOneof("result") in ("failure", "declined")
        worker.taken(pb.StreamValue)
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)


@pytest.mark.parametrize("name", ["total", "atotal"])
def test_a_session(start: Start, name: str) -> None:
    worker = start(WORKER)
    seq = worker.start(
        name, cbor2.dumps(10), result_credit=100, result_credit_bytes=1 << 20, streams_argument=True
    )
    credit = worker.wait(pb.Credit)
    assert (credit.values, credit.bytes) == (1024, 1 << 20)
    for value, sum_ in ((1, 11), (2, 13), (-20, -7)):
        send(worker, seq, cbor2.dumps(value))
        assert cbor2.loads(worker.wait(pb.StreamValue).inline) == sum_
    send(worker, seq, cbor2.dumps(1), cbor2.dumps(2), end=True)
    assert not worker.outcome(seq).HasField("failure")
    assert values_of(worker, seq) == [-6, -4]
    assert noted(worker) == [f"{name} saw the end"]


@pytest.mark.parametrize("name", ["total", "atotal"])
def test_thousands_of_values_through_a_session(start: Start, name: str) -> None:
    worker = start(WORKER)
    n = 5000
    seq = worker.start(
        name, cbor2.dumps(0), result_credit=n, result_credit_bytes=1 << 30, streams_argument=True
    )
    left = 0
    for value in range(n):
        while not left:
            left += worker.wait(pb.Credit).values
        send(worker, seq, cbor2.dumps(value))
        left -= 1
    send(worker, seq, end=True)
    worker.outcome(seq)
    assert values_of(worker, seq)[-1] == n * (n - 1) // 2


def test_input_is_granted_by_bytes_as_well(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start(
        "lengths", b"", result_credit=100, result_credit_bytes=1 << 30, streams_argument=True
    )
    worker.wait(pb.Credit)
    # One value of any size passes.
    send(worker, seq, bytes(3 << 20))
    assert worker.wait(pb.StreamValue).inline == str(3 << 20).encode()
    assert worker.wait(pb.Credit).bytes == 3 << 20
    send(worker, seq, b"", end=True)
    assert worker.wait(pb.StreamValue).inline == b"0"
    worker.outcome(seq)


def test_a_value_without_credit_is_the_hosts_violation(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    seq = worker.start(
        "first", b"\x00", result_credit=1, result_credit_bytes=1, streams_argument=True
    )
    worker.outcome(seq)
    send(worker, seq, b"\x01")  # dropped: the call is over
    seq = worker.start(
        "total", b"\x00", result_credit=0, result_credit_bytes=0, streams_argument=True
    )
    worker.wait(pb.Credit)
    worker.wait(pb.Credit)
    request = pb.WorkRequest(values=[pb.StreamValue(seq=seq, inline=b"\x01")] * 1025)
    worker._work.put(request.SerializeToString())  # past the ledger, which would say so
    assert "no credit" in str(worker.violation())


@pytest.mark.parametrize("name", ["total", "atotal"])
def test_a_cancel_wakes_who_waits_for_input(start: Start, name: str) -> None:
    worker = start(WORKER)
    seq = worker.start(name, b"\x00", result_credit=1, result_credit_bytes=1, streams_argument=True)
    assert worker.page
    page = worker.page
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")
    assert page.read("waiting_since") == 0
    assert noted(worker) == []


def test_a_session_may_end_while_its_caller_sends(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start(
        "first", b"\x02", result_credit=9, result_credit_bytes=99, streams_argument=True
    )
    worker.wait(pb.Credit)
    send(worker, seq, b"\x01", b"\x02", b"\x03", b"\x04")
    worker.outcome(seq)
    assert values_of(worker, seq) == [1, 2]
    send(worker, seq, b"\x05", end=True)
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
