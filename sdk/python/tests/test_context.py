"""What a running call sees, and the futures of the calls that it makes."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from host import wait_for
from running import Call

import procpool
from procpool import _runtime, _task
from procpool._gen import worker_pb2 as pb
from procpool._runtime import HostAnswer


@pytest.fixture
def call() -> Iterator[Call]:
    with Call().running() as made:
        yield made


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task, "_tasks", {})


@pytest.fixture(autouse=True)
def _own_logger() -> Iterator[None]:
    yield
    logger = logging.getLogger("procpool.task")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def answer(call: Call, value: Any, number: int = 0) -> None:
    call.answers[number](HostAnswer(result=cbor2.dumps(value)))


def fail(call: Call, **fields: Any) -> None:
    call.answers[0](HostAnswer(failure=pb.Failure(**fields)))


def test_what_it_tells(call: Call) -> None:
    context = procpool.context()
    assert (context.name, context.attempt, context.metadata) == ("outer", 2, {"tenant": "a"})
    assert context.deadline is context.seconds_left is None
    assert not context.cancelled
    context.check()
    call.deadline = time.monotonic() + 100
    assert context.deadline == call.deadline
    assert 0 < (context.seconds_left or 0) <= 100
    call.deadline = time.monotonic() - 1
    assert context.seconds_left == 0
    call.cancelled = True
    assert context.cancelled
    with pytest.raises(procpool.Cancelled):
        context.check()
    context.report(1, 4, "a quarter")
    context.report(0.5)
    assert call.reports == [(1.0, 4.0, "a quarter"), (0.5, 1.0, "")]


def test_outside_of_a_call() -> None:
    context = procpool.context()
    assert (context.name, context.attempt, dict(context.metadata)) == ("", 1, {})
    assert context.deadline is context.seconds_left is None
    assert not context.cancelled
    context.check()
    context.report(1)
    with pytest.raises(RuntimeError, match="only a running task can make calls"):
        context.submit("square", 7)


def test_cancelled_is_no_exception() -> None:
    assert not issubclass(procpool.Cancelled, Exception)


def test_async_tasks_see_their_own_call() -> None:
    async def main() -> list[Any]:
        async def one(call: Call) -> int:
            token = _runtime.current_call.set(call)
            await asyncio.sleep(0)
            procpool.context().report(call.seq)
            _runtime.current_call.reset(token)
            return len(call.reports)

        return await asyncio.gather(*(one(call) for call in calls))

    calls = [Call() for _ in range(3)]
    assert asyncio.run(main()) == [1, 1, 1]


def test_a_nested_call_by_name(call: Call) -> None:
    future = procpool.context().submit(
        "square", 7, timeout=2.5, metadata={"a": "b"}, key="k", priority=-3
    )
    request = call.requests[0]
    assert request.name == "square"
    assert (request.codec, request.argument) == ("cbor", b"\x07")
    assert (request.run_limit, request.metadata) == (2.5, {"a": "b"})
    assert (request.key, request.priority) == ("k", -3)
    assert not future.done()
    answer(call, 49)
    assert future.done()
    assert future.result() == 49
    assert future.result() == 49
    assert future.exception() is None
    assert repr(future) == "<procpool future of 'square', done>"


def test_a_nested_call_of_a_task(call: Call) -> None:
    @procpool.task("half", codecs=("json", "cbor"))
    def half(n: int) -> float:
        return n / 2

    # mypy sees to it that the types are those of the function.
    future: procpool.Future[float] = procpool.context().submit(half, 7)
    assert call.requests[0].name == "half"
    assert (call.requests[0].codec, call.requests[0].argument) == ("json", b"7")
    call.answers[0](HostAnswer(result=memoryview(b"4")))
    assert future.result() == 4.0
    assert type(future.result()) is float


def test_a_nested_call_of_an_async_task(call: Call) -> None:
    @procpool.task()
    async def upper(text: str) -> str:
        return text.upper()

    future: procpool.Future[str] = procpool.context().submit(upper, "a")
    answer(call, "A")
    assert future.result() == "A"


def test_call_waits(call: Call) -> None:
    def reply() -> None:
        wait_for(lambda: call.waits == 1, "the wait")
        answer(call, 49)

    thread = threading.Thread(target=reply)
    thread.start()
    assert procpool.context().call("square", 7, returns=int) == 49
    thread.join()
    assert (call.waits, call.waited) == (0, 1)


def test_results_are_checked(call: Call) -> None:
    future = procpool.context().submit("square", 7, returns=int)
    answer(call, "49")
    with pytest.raises(procpool.CodecError) as caught:
        future.result()
    assert str(caught.value) == (
        "can't decode the result of task 'square' with codec 'cbor': result: expected int, got str"
    )
    assert (caught.value.codec, caught.value.op) == ("cbor", "decode the result")
    assert future.exception() is caught.value


def test_what_is_refused_at_once(call: Call) -> None:
    context = procpool.context()
    with pytest.raises(procpool.CodecError, match="can't encode the argument of task 'square'"):
        context.submit("square", object())
    with pytest.raises(ValueError, match="a call needs time to run"):
        context.submit("square", 1, timeout=0)
    with pytest.raises(ValueError, match="it is between -100 and 100"):
        context.submit("square", 1, priority=101)
    with pytest.raises(TypeError, match="is no task: decorate it"):
        context.submit(len, [])

    @procpool.stream("count")
    def count(n: int) -> Iterator[int]:
        yield n

    with pytest.raises(TypeError, match="'count' is a stream: use stream"):
        context.submit(count, 1)
    assert call.requests == []


def test_errors(call: Call) -> None:
    future = procpool.context().submit("square", 7)
    fail(call, kind=pb.FAILURE_KIND_TASK, type="ValueError", message="no")
    with pytest.raises(procpool.TaskError, match="task 'square' failed: ValueError: no"):
        future.result()


def test_a_wait_that_is_bounded(call: Call) -> None:
    future = procpool.context().submit("square", 7)
    with pytest.raises(TimeoutError, match="task 'square' is not done yet"):
        future.result(timeout=0)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.001)
    assert call.waits == 0
    answer(call, 49)
    assert future.result(timeout=0) == 49


def test_cancel(call: Call) -> None:
    future = procpool.context().submit("square", 7)
    assert future.cancel()
    assert not future.cancel()
    assert call.given_up == [0]
    assert future.done()
    answer(call, 49)  # the host answers all the same
    with pytest.raises(procpool.CancelledError, match="the call of task 'square' was given up"):
        future.result()

    other = procpool.context().submit("square", 7)
    answer(call, 49, 1)
    assert not other.cancel()
    assert call.given_up == [0]
    assert other.result() == 49


def test_callbacks(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    future = procpool.context().submit("square", 7)
    seen: list[Any] = []
    future.add_done_callback(lambda done: 1 / 0)
    future.add_done_callback(lambda done: seen.append(done.result()))
    assert seen == []
    answer(call, 49)
    assert seen == [49]
    future.add_done_callback(lambda done: seen.append("late"))
    assert seen == [49, "late"]
    assert "a callback of <procpool future of 'square', done> failed" in caplog.text


def test_many_who_wait(call: Call) -> None:
    future = procpool.context().submit("square", 7)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(future.result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: call.waits == 8, "eight who wait")
    answer(call, 49)
    for thread in threads:
        thread.join(30)
    assert results == [49] * 8
    assert call.waits == 0


def test_one_outcome_in_a_race(call: Call) -> None:
    for number in range(200):
        future = procpool.context().submit("square", 7)
        seen: list[object] = []
        start = threading.Barrier(3)

        def reply(number: int = number, start: threading.Barrier = start) -> None:
            start.wait()
            answer(call, 49, number)

        def listen(
            future: procpool.Future[Any] = future,
            seen: list[object] = seen,
            start: threading.Barrier = start,
        ) -> None:
            start.wait()
            future.add_done_callback(seen.append)

        threads = [threading.Thread(target=target) for target in (reply, listen)]
        for thread in threads:
            thread.start()
        start.wait()
        cancelled = future.cancel()
        for thread in threads:
            thread.join()
        assert seen == [future]
        assert isinstance(future.exception(), procpool.CancelledError) == cancelled


def test_await(call: Call) -> None:
    async def main() -> tuple[int, list[int]]:
        context = procpool.context()
        loop = asyncio.get_running_loop()
        first = context.submit("square", 7)
        loop.call_soon(lambda: loop.run_in_executor(None, answer, call, 49, 0))
        one = await first
        assert await first == 49  # once more
        more = [context.submit("square", n) for n in range(3)]
        for number in (2, 0, 1):
            loop.call_soon(answer, call, number, number + 1)
        return one, await asyncio.gather(*more)

    assert asyncio.run(main()) == (49, [0, 1, 2])
    assert call.waits == 0


def test_await_fails(call: Call) -> None:
    async def main() -> None:
        future = procpool.context().submit("square", 7)
        asyncio.get_running_loop().call_soon(lambda: fail(call, message="no"))
        await future

    with pytest.raises(procpool.TaskError, match="no"):
        asyncio.run(main())


def test_await_that_is_cancelled_gives_the_call_up(call: Call) -> None:
    async def main() -> procpool.Future[Any]:
        future = procpool.context().submit("square", 7)

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        while not call.waits:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return future

    future = asyncio.run(main())
    assert call.given_up == [0]
    assert isinstance(future.exception(), procpool.CancelledError)
    assert call.waits == 0


def test_an_answer_after_the_loop_has_gone(call: Call) -> None:
    async def main() -> procpool.Future[Any]:
        future = procpool.context().submit("square", 7)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(_coroutine(future)), 0.001)
        return future

    async def _coroutine(future: procpool.Future[Any]) -> Any:
        return await future

    future = asyncio.run(main())
    answer(call, 49)
    assert future.done()


def test_logger(call: Call) -> None:
    logger = procpool.context().logger
    before = time.time_ns()
    logger.warning("page %d is odd", 3, extra={"page": 3, "file": "a.pdf"})
    level, message, fields, moment = call.logs[0]
    assert (level, message) == (3, "page 3 is odd")
    assert fields == {"page": "3", "file": "a.pdf"}
    assert abs(moment - before) < 60e9
    for name, number in [("debug", 1), ("info", 2), ("error", 4), ("critical", 4)]:
        getattr(logger, name)("x")
        assert call.logs[-1][0] == number
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("failed")
    assert "ZeroDivisionError: division by zero" in call.logs[-1][2]["exception"]
    logger.info("broken %d", "x")  # has no text, which costs that line only
    assert call.logs[-1][1] == "failed"


@pytest.mark.parametrize(("wanted", "sent"), [(0, []), (1, [1, 2, 3, 4]), (3, [3, 4]), (4, [4])])
def test_levels_that_the_host_does_not_want(wanted: int, sent: list[int]) -> None:
    with Call(log_level=wanted).running() as call:
        logger = procpool.context().logger
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            assert logger.isEnabledFor(number) == (0 < wanted <= number // 10)
            logger.log(number, "x")
        assert [line[0] for line in call.logs] == sent


def test_other_loggers_with_the_handler(call: Call) -> None:
    handler = procpool.LogHandler()
    logger = logging.getLogger("library.part")
    logger.addHandler(handler)
    try:
        logger.warning("hot")
        assert call.logs[0][1:3] == ("hot", {"logger": "library.part"})
        handler.addFilter(lambda record: "cold" in record.getMessage())
        logger.warning("hot")
        logger.warning("cold")
        assert [line[1] for line in call.logs] == ["hot", "cold"]
        # A line of no call, such as one of a thread: the process sends it.
        threading.Thread(target=lambda: logger.warning("cold thread")).start()
        wait_for(lambda: len(call.logs) == 3, "the thread's line")
    finally:
        logger.removeHandler(handler)


def test_logging_outside_of_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    logger = procpool.context().logger
    logger.warning("seen")
    assert "seen" in caplog.text
    assert logger.handlers == []
