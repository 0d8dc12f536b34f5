"""Streams that a task calls in its own pool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import cbor2
import pytest
from conftest import Start
from host import wait_for
from running import Call

import procpool
from procpool import _task
from procpool._gen import worker_pb2 as pb
from procpool._runtime import HostAnswer


@pytest.fixture
def call() -> Iterator[Call]:
    with Call().running() as made:
        yield made


def collect(values: Iterator[Any] | procpool.Values[Any], seen: list[Any]) -> None:
    for value in values:
        seen.append(value)


def put(call: Call, *values: Any) -> None:
    for value in values:
        call.puts[-1](cbor2.dumps(value))


def end(call: Call, **failure: Any) -> None:
    failed = pb.Failure(**failure) if failure else None
    call.answers[-1](HostAnswer(failure=failed))


def test_values_that_are_there(call: Call) -> None:
    values = procpool.context().stream("count", 3, timeout=2, key="k")
    request = call.requests[0]
    assert (request.name, request.kind, request.argument) == ("count", "stream", b"\x03")
    assert (request.run_limit, request.key) == (2, "k")
    assert (request.credit, request.credit_bytes) == (1024, 1 << 20)
    put(call, 0, 1, 2)
    end(call)
    assert list(values) == [0, 1, 2]
    assert list(values) == []
    assert call.given_up == []
    assert call.waited == 0
    assert repr(values) == "<procpool values of 'count'>"


def test_of_a_task_and_checked(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task, "_tasks", {})

    @procpool.stream()
    def halves(n: int) -> Iterator[float]:
        yield n / 2

    @procpool.stream()
    async def names(n: int) -> AsyncIterator[str]:
        yield ""

    # mypy sees to it that the types are those of the functions.
    floats: procpool.Values[float] = procpool.context().stream(halves, 1)
    put(call, 1, 2.5)
    end(call)
    assert [(value, type(value)) for value in floats] == [(1.0, float), (2.5, float)]
    texts: procpool.Values[str] = procpool.context().stream(names, 1)
    put(call, "a", 5)
    seen: list[Any] = []
    with pytest.raises(procpool.CodecError, match="value: expected str, got int"):
        collect(texts, seen)
    assert seen == ["a"]
    assert call.given_up == [1]
    with pytest.raises(TypeError, match="'halves' is a stream: use stream"):
        procpool.context().submit(halves, 1)


def test_an_error_comes_behind_the_values(call: Call) -> None:
    values = procpool.context().stream("count", 3)
    put(call, 0)
    end(call, kind=pb.FAILURE_KIND_TASK, type="ValueError", message="no")
    seen: list[Any] = []
    with pytest.raises(procpool.TaskError, match="task 'count' failed: ValueError: no"):
        collect(values, seen)
    assert seen == [0]
    assert call.given_up == []


def test_waiting_for_values(call: Call) -> None:
    def speak() -> None:
        for n in range(100):
            wait_for(lambda: call.waits == 1, "the wait")
            put(call, n)
        wait_for(lambda: call.waits == 1, "the wait")
        end(call)

    thread = threading.Thread(target=speak)
    thread.start()
    assert list(procpool.context().stream("count", 100)) == list(range(100))
    thread.join()
    assert call.waits == 0


def test_leaving_the_loop_gives_the_stream_up(call: Call) -> None:
    values = procpool.context().stream("count", 3)
    put(call, 0, 1)
    for value in values:
        assert value == 0
        break
    assert call.given_up == [0]
    assert list(values) == []


def test_leaving_by_an_exception_and_by_close(call: Call) -> None:
    values = procpool.context().stream("count", 3)
    put(call, 0)
    with pytest.raises(ZeroDivisionError):
        collect((1 / value for value in values), [])
    assert call.given_up == [0]
    other = procpool.context().stream("count", 3)
    other.close()
    other.close()
    assert call.given_up == [0, 1]
    end(call, kind=pb.FAILURE_KIND_CANCELLED, message="given up")
    assert list(other) == []


def test_credit(call: Call) -> None:
    values = procpool.context().stream("count", 3)
    loop = iter(values)
    put(call, *range(1024))
    for _ in range(511):
        next(loop)
    assert call.granted == []
    next(loop)
    assert [values for values, _ in call.granted] == [512]
    put(call, bytes(600_000))
    for _ in range(513):
        next(loop)
    assert sum(n for n, _ in call.granted) == 1025
    assert sum(size for _, size in call.granted) == sum(
        len(cbor2.dumps(n)) for n in range(1024)
    ) + len(cbor2.dumps(bytes(600_000)))


def test_async(call: Call) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()

        def speak() -> None:
            for n in range(50):
                wait_for(lambda: call.waits == 1, "the wait")
                put(call, n)
            end(call)

        speaking = loop.run_in_executor(None, speak)
        seen = [value async for value in procpool.context().stream("count", 50)]
        await speaking
        async for _ in procpool.context().stream("count", 0):
            raise AssertionError
        return seen

    def end_the_second() -> None:
        wait_for(lambda: len(call.puts) == 2, "the second stream")
        end(call)

    thread = threading.Thread(target=end_the_second)
    thread.start()
    assert asyncio.run(main()) == list(range(50))
    thread.join()
    assert call.waits == 0


def test_async_that_is_left(call: Call) -> None:
    async def main() -> None:
        values = procpool.context().stream("count", 3)
        put(call, 0, 1)
        async for value in values:
            assert value == 0
            break

        async def wait() -> None:
            async for _ in procpool.context().stream("count", 3):
                raise AssertionError

        task = asyncio.create_task(wait())
        while not call.waits:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(call.given_up) == [0, 1]
    assert call.waits == 0


WORKER = """
    import procpool

    @procpool.task()
    def total(take: int) -> list[int]:
        seen = []
        for value in procpool.context().stream("count", 5, returns=int):
            seen.append(value)
            if len(seen) == take:
                break
        return seen

    @procpool.task()
    async def atotal(take: int) -> int:
        return sum([value async for value in procpool.context().stream("count", 5)])

    @procpool.task()
    def sizes(take: int) -> int:
        return sum(len(value) for value in procpool.context().stream("chunks", 5))

    procpool.serve()
"""


def host_call(worker: Any) -> pb.HostCall:
    made: pb.HostCall = worker.wait(pb.HostCall)
    assert made.kind == pb.TASK_KIND_STREAM
    return made


def value_of(call: pb.HostCall, data: bytes) -> pb.WorkRequest:
    return pb.WorkRequest(values=[pb.StreamValue(host_call=call.id, inline=data)])


@pytest.mark.parametrize("name", ["total", "atotal"])
def test_in_a_worker(start: Start, name: str) -> None:
    worker = start(WORKER)
    assert worker.page
    for _ in range(3):
        seq = worker.start(name, b"\x20")
        call = host_call(worker)
        assert (call.name, call.inline, call.parent_seq) == ("count", b"\x05", seq)
        for n in range(5):
            worker.page.wait_until(
                lambda: bool(worker.page and worker.page.read("waiting_since")), "the wait"
            )
            worker.send(value_of(call, cbor2.dumps(n)))
        # The last value and the end in one message.
        last = value_of(call, cbor2.dumps(5))
        last.host_replies.append(pb.HostReply(id=call.id))
        worker.send(last)
        result = cbor2.loads(worker.outcome(seq).inline)
        assert result == ([0, 1, 2, 3, 4, 5] if name == "total" else 15)
        assert worker.page.read("waiting_since") == 0


def test_in_a_worker_that_leaves_early(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("total", b"\x02")
    call = host_call(worker)
    for n in range(4):
        worker.send(value_of(call, cbor2.dumps(n)))
    assert worker.wait(pb.HostCancel).id == call.id
    assert cbor2.loads(worker.outcome(seq).inline) == [0, 1]
    worker.send(value_of(call, b"\x05"))  # is dropped
    failure = pb.Failure(kind=pb.FAILURE_KIND_CANCELLED, message="given up")
    worker.send(pb.WorkRequest(host_replies=[pb.HostReply(id=call.id, failure=failure)]))
    # It is cancelled while it waits for values.
    seq = worker.start("total", b"\x20")
    call = host_call(worker)
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")


def test_in_a_worker_with_credit(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("sizes", b"\x00")
    call = host_call(worker)
    chunk = cbor2.dumps(bytes(300_000))
    for _ in range(20):
        worker.send(value_of(call, chunk))
        credit = worker.ledger.to_host_call[call.id]
        wait_for(lambda: credit.size > 0 and credit.values > 0, "more credit")  # noqa: B023
    worker.send(pb.WorkRequest(host_replies=[pb.HostReply(id=call.id)]))
    assert cbor2.loads(worker.outcome(seq).inline) == 20 * 300_000
