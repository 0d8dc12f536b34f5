"""Mutexes, semaphores and counters, and what all operations on shared state have in common."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host import wait_for
from sharing import Scripted, failure

import procpool
from procpool import shared
from procpool._gen import worker_pb2 as pb


@pytest.fixture
def call() -> Iterator[Scripted]:
    with Scripted().running() as made:
        assert isinstance(made, Scripted)
        yield made


guard = shared.Mutex("guard")
slots = shared.Semaphore("slots", 3)
total = shared.Counter("total")


def test_a_with_block_holds_a_mutex(call: Scripted) -> None:
    call.script({})
    with guard as held:
        name, arguments = call.asked()
        ticket = arguments.pop("ticket")
        assert 0 < ticket < 1 << 63
        assert (name, arguments) == ("mutex.lock", {"name": "guard"})
        assert (call.requests[0].kind, call.requests[0].codec) == ("shared", "cbor")
        assert not held.abandoned
        assert call.told == []
    assert call.heard() == [("mutex.unlock", {"name": "guard", "ticket": ticket})]
    assert call.given_up == []


def test_a_with_block_unlocks_when_it_fails(call: Scripted) -> None:
    call.script({})
    with pytest.raises(ZeroDivisionError), guard:
        raise ZeroDivisionError
    assert [name for name, _ in call.heard()] == ["mutex.unlock"]


def test_what_is_locked_by_hand(call: Scripted) -> None:
    call.script({"abandoned": True}, {})
    held = guard.lock(timeout=5)
    assert held.abandoned
    held.unlock()
    held.unlock()
    assert len(call.told) == 1
    with guard.lock() as other:
        assert not other.abandoned
        other.unlock()
    tickets = [arguments["ticket"] for _, arguments in call.heard()]
    assert len(set(tickets)) == 2


def test_what_does_not_wait(call: Scripted) -> None:
    call.script({}, failure("shared_would_block", 'mutex "guard": it is locked'))
    held = guard.try_lock()
    assert held is not None
    assert call.asked()[1]["no_wait"] is True
    assert guard.try_lock() is None
    call.script({}, failure("shared_would_block", ""))
    permits = slots.try_acquire(2)
    assert permits is not None
    assert call.asked()[1]["no_wait"] is True
    assert slots.try_acquire() is None
    assert call.told == []


def test_permits(call: Scripted) -> None:
    call.script({"abandoned": True}, {})
    with slots.acquire(2) as permits:
        name, arguments = call.asked()
        ticket = arguments.pop("ticket")
        assert (name, arguments) == ("semaphore.acquire", {"name": "slots", "size": 3, "count": 2})
        assert permits.abandoned
    assert call.heard() == [("semaphore.release", {"name": "slots", "ticket": ticket})]
    with slots as permits:
        assert call.asked()[1]["count"] == 1
        permits.release()
    assert len(call.told) == 2


def test_counters(call: Scripted) -> None:
    call.script({"total": 5}, {"total": -(2**63)}, {})
    assert total.add(5) == 5
    assert call.asked() == ("counter.add", {"name": "total", "delta": 5})
    assert total.add() == -(2**63)
    assert call.asked()[1]["delta"] == 1
    assert total.value() == 0
    assert call.asked()[1]["delta"] == 0
    assert call.told == []


def test_a_timeout_gives_the_wait_up(call: Scripted) -> None:
    call.script(None, None, None)
    with pytest.raises(TimeoutError, match=r"mutex 'guard' was not locked within 0\.001s"):
        guard.lock(timeout=0.001)
    ticket = call.asked()[1]["ticket"]
    assert call.given_up == [0]
    back = {"name": "guard", "ticket": ticket, "unseen": True}
    assert call.heard() == [("mutex.unlock", back)]
    with pytest.raises(TimeoutError, match="3 permits of semaphore 'slots' were not got within"):
        slots.acquire(3, timeout=0.001)
    assert call.heard()[1][0] == "semaphore.release"
    assert call.waits == 0
    call.answer({}, 0)  # finds nobody
    assert len(call.told) == 2


def test_what_is_granted_in_the_moment_in_which_it_is_given_up(call: Scripted) -> None:
    """The answer comes when the caller has left, and before it can give the wait up."""

    def gone() -> None:
        call.answer({})
        raise procpool.Cancelled

    call.in_waiting = gone
    call.script(None)
    with pytest.raises(procpool.Cancelled):
        guard.lock()
    assert call.given_up == []  # it was answered
    assert [(name, a["unseen"]) for name, a in call.heard()] == [("mutex.unlock", True)]


def test_waiting_is_noted(call: Scripted) -> None:
    call.script(None)

    def answer() -> None:
        wait_for(lambda: call.waits == 1, "the wait")
        call.answer({"total": 7})

    thread = threading.Thread(target=answer)
    thread.start()
    assert total.value() == 7
    thread.join()
    assert (call.waits, call.waited) == (0, 1)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("shared_mismatch", shared.MismatchError),
        ("shared_not_held", shared.NotHeldError),
        ("shared_would_block", shared.WouldBlockError),
        ("shared_queue_closed", shared.QueueClosedError),
        ("shared_limit", shared.LimitError),
        ("shared_invalid", procpool.TaskError),
        ("shared_of_tomorrow", procpool.TaskError),
    ],
)
def test_errors_of_the_host(call: Scripted, code: str, kind: type[procpool.Error]) -> None:
    call.script(failure(code, 'mutex "guard": no'))
    with pytest.raises(kind, match=r'^mutex "guard": no$') as caught:
        guard.lock()
    assert isinstance(caught.value, procpool.Error)
    assert caught.value.task == "mutex.lock"
    assert kind is not procpool.TaskError or getattr(caught.value, "code", "") == code
    assert kind.__module__ in ("procpool", "procpool.shared")
    assert call.told == []
    assert call.given_up == []


def test_errors_of_any_call(call: Scripted) -> None:
    call.script(pb.Failure(kind=pb.FAILURE_KIND_CLOSED, message="the pool is closed"))
    with pytest.raises(procpool.ClosedError, match=r"^mutex 'guard' was not locked: the pool "):
        guard.lock()
    call.script(pb.Failure(kind=pb.FAILURE_KIND_DEADLINE, message="the time is over"))
    with pytest.raises(procpool.DeadlineError, match="not changed, or nobody knows: the time is"):
        total.add(1)
    assert call.told == []


def test_only_in_a_task() -> None:
    operations: list[Callable[[], object]] = [
        *(guard.lock, guard.try_lock, guard.__enter__, slots.acquire, total.value),
        lambda: asyncio.run(guard.lock_async()),
    ]
    for operation in operations:
        with pytest.raises(RuntimeError, match="only a running task can use shared state"):
            operation()


def test_definitions_that_make_no_sense(call: Scripted) -> None:
    names: list[Any] = ["", "x" * 1025, "ü" * 513, "\ud800", 5]
    for name in names:
        for define in (shared.Mutex, shared.Counter, lambda name: shared.Semaphore(name, 1)):
            with pytest.raises(ValueError, match="can't be the name of an object"):
                define(name)
    sizes: list[Any] = [0, -1, 1 << 31, "3"]
    for size in sizes:
        with pytest.raises(ValueError, match=r"permits of 's': it is from 1 to 2147483647"):
            shared.Semaphore("s", size)
    with pytest.raises(ValueError, match="4 permits of 'slots': it is from 1 to 3"):
        slots.acquire(4)
    with pytest.raises(ValueError, match="timeout=0: an operation takes time"):
        guard.lock(timeout=0)
    deltas: list[Any] = [1.5, "1", None]
    for delta in deltas:
        with pytest.raises(TypeError, match="can't be added to counter 'total': it is no int"):
            total.add(delta)
    for delta in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(ValueError, match="it has more than 64 bits"):
            total.add(delta)
    assert call.requests == []
    shared.Mutex("ü" * 512)


def test_handles_show_what_they_are() -> None:
    assert repr(guard) == "procpool.shared.Mutex('guard')"
    assert repr(slots) == "procpool.shared.Semaphore('slots', 3)"
    assert repr(total) == "procpool.shared.Counter('total')"


def test_blocks_of_several_threads(call: Scripted) -> None:
    """Each leaves its own block, in any order; in the end all is given back."""
    call.script(*[{}] * 8)
    inside = threading.Barrier(8)

    def work() -> None:
        with slots:
            inside.wait(60)

    def thread() -> threading.Thread:
        # As copy_context().run, in which threads see their call.
        return threading.Thread(target=call.in_context(work))

    threads = [thread() for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    asked = {call.asked(n)[1]["ticket"] for n in range(8)}
    assert {arguments["ticket"] for _, arguments in call.heard()} == asked
    assert len(call.told) == 8
    assert slots._entered == []


def test_what_a_call_left_is_not_taken_for_that_of_the_next(call: Scripted) -> None:
    call.script({})
    guard.__enter__()
    with Scripted().running() as other:
        assert isinstance(other, Scripted)
        guard.__exit__(None, None, None)
        assert other.told == call.told == []
        other.script({})
        with guard:
            assert len(guard._entered) == 1
        assert len(other.told) == 1
    guard.__exit__(None, None, None)  # what it had is forgotten: its call has ended
    assert call.told == []


# Coroutines


def test_coroutines(call: Scripted) -> None:
    async def main() -> None:
        call.script({}, {}, {}, {})
        async with guard as held:
            assert not held.abandoned
            assert call.told == []
        assert len(call.told) == 1
        with await guard.lock_async(timeout=60):
            pass
        with await slots.acquire_async(2, timeout=60) as permits:
            assert call.asked()[1]["count"] == 2
        async with slots:
            permits.release()
        assert len(call.told) == 4
        call.script({"total": 1}, {"total": 2}, {}, {}, *[failure("shared_would_block", "")] * 2)
        assert (await total.add_async(1), await total.value_async()) == (1, 2)
        for _ in range(2):
            assert (await guard.try_lock_async() is None) == (_ == 1)
            assert (await slots.try_acquire_async() is None) == (_ == 1)

    asyncio.run(main())


@pytest.mark.parametrize("operation", [guard.lock_async, functools.partial(slots.acquire_async, 2)])
def test_a_coroutine_that_is_cancelled_gives_the_wait_up(
    call: Scripted, operation: Callable[[], Any]
) -> None:
    async def main() -> None:
        call.script(None)
        task = asyncio.create_task(operation())
        while not call.waits:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert call.given_up == [0]
    assert [arguments["unseen"] for _, arguments in call.heard()] == [True]
    assert call.waits == 0


def test_a_coroutine_that_is_cancelled_when_it_was_granted(call: Scripted) -> None:
    async def main() -> None:
        call.script(None)
        task = asyncio.create_task(guard.lock_async())
        while not call.waits:
            await asyncio.sleep(0)
        call.answer({})
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert call.given_up == []
    assert [arguments["unseen"] for _, arguments in call.heard()] == [True]


def test_a_coroutine_has_a_timeout(call: Scripted) -> None:
    async def main() -> None:
        call.script(None, pb.Failure(kind=pb.FAILURE_KIND_DEADLINE, message="over"))
        with pytest.raises(TimeoutError, match=r"mutex 'guard' was not locked within 0\.001s"):
            await guard.lock_async(timeout=0.001)
        with pytest.raises(procpool.DeadlineError, match="was not locked: over"):
            await guard.lock_async(timeout=60)

    asyncio.run(main())
    assert call.given_up == [0]
    assert [arguments["unseen"] for _, arguments in call.heard()] == [True]


def test_blocks_of_several_coroutines(call: Scripted) -> None:
    async def work(n: int) -> None:
        async with slots:
            await asyncio.sleep((7 * n % 5) / 1000)

    async def main() -> None:
        call.script(*[{}] * 20)
        await asyncio.gather(*(work(n) for n in range(20)))

    asyncio.run(main())
    asked = {call.asked(n)[1]["ticket"] for n in range(20)}
    assert {arguments["ticket"] for _, arguments in call.heard()} == asked
    assert slots._entered == []
