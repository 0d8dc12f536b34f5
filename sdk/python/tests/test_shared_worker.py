"""Shared state in real workers: what they say to the host, and what they are told to stop in."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import cbor2
import pytest
from host import CAPABILITIES, wait_for
from sharing import Mutexes, failure

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from conftest import Start
    from host import Worker

WORKER = """
    import asyncio, functools, os, threading, time
    import procpool
    from procpool import shared
    from procpool._runtime import current_call

    guard = shared.Mutex("guard")
    other = shared.Mutex("other")
    total = shared.Counter("total")
    jobs = shared.Queue("jobs", 10, of=str)

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task()
    def count(n: int) -> int:
        with guard:
            return total.add(n)

    @procpool.task()
    async def count_async(n: int) -> int:
        async with guard:
            return await total.add_async(n)

    @procpool.task()
    def wait_for_it(timeout: float | None) -> str:
        try:
            guard.lock(timeout)
        except TimeoutError as error:
            total.add(1)
            return str(error)
        return "locked"

    @procpool.task()
    async def wait_for_it_async(timeout: float | None) -> str:
        try:
            await guard.lock_async(timeout)
        except TimeoutError as error:
            return str(error)
        return "locked"

    @procpool.task()
    def clean_up_with_it() -> str:
        try:
            with guard:
                pass
        except procpool.Cancelled:
            with other:
                return "cleaned up"

    @procpool.task()
    def take_and_leave() -> str:
        item = jobs.get()
        return item.value

    @procpool.task()
    def errors() -> list:
        found = []
        for operation in (guard.lock, total.value, jobs.get, lambda: jobs.put("x" * 2000000)):
            try:
                operation()
            except procpool.Error as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    kept = []

    @procpool.task()
    def keep() -> None:
        kept.append(guard.lock())

    @procpool.task()
    def unlock_late() -> None:
        kept[0].unlock()

    @procpool.task()
    def in_threads(n: int) -> int:
        import contextvars
        inside = []
        def work():
            for _ in range(20):
                with guard:
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,))
                   for _ in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 20 * n

    # Each takes and gives back until it is cancelled, and returns whether it has the lock then,
    # as far as it can know.

    def until_cancelled(step):
        held = []
        try:
            while True:
                step(held)
        except procpool.Cancelled:
            return any(not one._granted.over for one in held)

    @procpool.task()
    def blocks() -> bool:
        def step(held):
            with guard:
                pass
        return until_cancelled(step)

    @procpool.task()
    def named_blocks() -> bool:
        def step(held):
            with guard.lock(timeout=3600) as one:
                pass
        return until_cancelled(step)

    @procpool.task()
    def by_hand() -> bool:
        def step(held):
            held[:] = ()
            one = guard.lock(**{"timeout": 3600})
            held.append(one)
            one.unlock()
        return until_cancelled(step)

    @procpool.task()
    def by_hand_of_others() -> bool:
        lock = functools.partial(guard.lock, timeout=3600)
        def step(held):
            held[:] = ()
            one = lock()
            held.append(one)
            one.unlock()
        return until_cancelled(step)

    @procpool.task()
    def with_timeouts() -> bool:
        def step(held):
            try:
                with guard.lock(timeout=0.0003) as one:
                    pass
            except TimeoutError:
                pass
        return until_cancelled(step)

    @procpool.task()
    def keeps() -> bool:
        held = []
        try:
            one = guard.lock()
            held.append(one)
            time.sleep(3600)
        except procpool.Cancelled:
            return any(not one._granted.over for one in held)

    @procpool.task()
    async def coroutines() -> bool:
        held = []
        async def work():
            while True:
                async with guard:
                    await asyncio.sleep(0)
        try:
            await asyncio.gather(*(work() for _ in range(3)))
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return False

    procpool.serve()
"""


def reply(worker: Worker, call: pb.HostCall, **fields: object) -> None:
    """Answer an operation."""
    failed = fields.pop("failure", None)
    made = pb.HostReply(id=call.id)
    if isinstance(failed, pb.Failure):
        made.failure.CopyFrom(failed)
    else:
        made.inline = cbor2.dumps(fields)
    worker.send(pb.WorkRequest(host_replies=[made]))


def operation(worker: Worker, name: str) -> pb.HostCall:
    """Wait for an operation, which must be the next."""
    call = worker.wait(pb.HostCall)
    assert call.name == name
    return call


def arguments(call: pb.HostCall) -> dict[str, object]:
    found: dict[str, object] = cbor2.loads(call.inline)
    return found


@pytest.mark.parametrize("name", ["count", "count_async"])
def test_what_a_worker_says(start: Start, name: str) -> None:
    worker = start(WORKER)
    assert "shared_state" in worker.response.capabilities
    page = worker.page
    assert page
    seq = worker.start(name, cbor2.dumps(5))
    lock = operation(worker, "mutex.lock")
    assert (lock.kind, lock.codec, lock.no_reply) == (pb.TASK_KIND_SHARED, "cbor", False)
    assert (lock.parent_seq, lock.parent_lane) == (seq, 0)
    ticket = arguments(lock)["ticket"]
    assert arguments(lock) == {"name": "guard", "ticket": ticket}
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    reply(worker, lock)
    add = operation(worker, "counter.add")
    assert arguments(add) == {"name": "total", "delta": 5}
    reply(worker, add, total=12)
    assert cbor2.loads(worker.outcome(seq).inline) == 12
    assert page.read("waiting_since") == 0
    unlock = operation(worker, "mutex.unlock")
    assert (unlock.kind, unlock.no_reply) == (pb.TASK_KIND_SHARED, True)
    assert arguments(unlock) == {"name": "guard", "ticket": ticket}
    assert len({lock.id, add.id, unlock.id}) == 3


def test_what_is_given_back_is_said_before_the_end(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("count", b"\x01")
    reply(worker, operation(worker, "mutex.lock"))
    reply(worker, operation(worker, "counter.add"), total=1)
    outcome = worker.outcome(seq)
    assert [type(event).__name__ for event in worker.order()] == ["HostCall"]
    assert not outcome.HasField("failure")


@pytest.mark.parametrize("name", ["wait_for_it", "wait_for_it_async"])
def test_a_wait_that_is_given_up(start: Start, name: str) -> None:
    worker = start(WORKER)
    seq = worker.start(name, cbor2.dumps(0.01))
    lock = operation(worker, "mutex.lock")
    if name == "wait_for_it":
        reply(worker, operation_behind(worker, "counter.add"), total=1)
    text = "mutex 'guard' was not locked within 0.01s"
    assert cbor2.loads(worker.outcome(seq).inline) == text
    cancel, back = worker.order()
    assert isinstance(cancel, pb.HostCancel)
    assert isinstance(back, pb.HostCall)
    assert (cancel.id, back.name, back.no_reply) == (lock.id, "mutex.unlock", True)
    ticket = arguments(lock)["ticket"]
    assert arguments(back) == {"name": "guard", "ticket": ticket, "unseen": True}
    reply(worker, lock)  # finds nobody
    assert cbor2.loads(worker.call("square", b"\x07").inline) == 49


def operation_behind(worker: Worker, name: str) -> pb.HostCall:
    """Wait for an operation; what comes before it stays."""
    return worker.wait(pb.HostCall, lambda call: call.name == name)


@pytest.mark.parametrize("name", ["wait_for_it", "wait_for_it_async"])
def test_a_cancel_gives_the_wait_up(start: Start, name: str) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    seq = worker.start(name, b"\xf6")
    lock = operation(worker, "mutex.lock")
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")
    assert page.read("waiting_since") == 0
    cancel, back = worker.order()
    assert isinstance(cancel, pb.HostCancel)
    assert isinstance(back, pb.HostCall)
    assert (cancel.id, back.name) == (lock.id, "mutex.unlock")
    assert arguments(back)["unseen"] is True


def test_a_call_that_is_cancelled_may_still_use_it(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("clean_up_with_it", b"\xf6")
    operation(worker, "mutex.lock")
    worker.cancel(seq)
    lock = operation_behind(worker, "mutex.lock")
    assert arguments(lock)["name"] == "other"
    reply(worker, lock)
    assert cbor2.loads(worker.outcome(seq).inline) == "cleaned up"


def test_a_call_leaves_what_it_has_to_its_end(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("take_and_leave", b"\xf6")
    reply(worker, operation(worker, "queue.get"), value=cbor2.dumps("a"), delivery=1)
    assert cbor2.loads(worker.outcome(seq).inline) == "a"
    seq = worker.start("keep", b"\xf6")
    reply(worker, operation(worker, "mutex.lock"))
    worker.outcome(seq)
    # In a later call there is nothing to be given back.
    assert not worker.call("unlock_late", b"\xf6").HasField("failure")
    worker.ping(1)
    assert worker.order() == []


def test_errors(start: Start) -> None:
    worker = start(WORKER, max_payload=1 << 20)
    seq = worker.start("errors", b"\xf6")
    closed = pb.Failure(kind=pb.FAILURE_KIND_CLOSED, message="the pool is closed")
    reply(worker, operation(worker, "mutex.lock"), failure=closed)
    mismatch = failure("shared_mismatch", 'counter "total": it is a mutex')
    reply(worker, operation(worker, "counter.add"), failure=mismatch)
    reply(worker, operation(worker, "queue.get"), failure=failure("shared_queue_closed", "over"))
    found = cbor2.loads(worker.outcome(seq).inline)
    assert found[:3] == [
        "ClosedError: mutex 'guard' was not locked: the pool is closed",
        'MismatchError: counter "total": it is a mutex',
        "QueueClosedError: over",
    ]
    assert found[3].startswith("TooLargeError: nothing was put into queue 'jobs', or nobody knows:")
    assert worker.order() == []


def test_a_host_that_keeps_no_shared_state(start: Start) -> None:
    capabilities = [name for name in CAPABILITIES if name != "shared_state"]
    worker = start(WORKER, hello={"capabilities": capabilities})
    found = cbor2.loads(worker.call("errors", b"\xf6").inline)
    assert (
        found[0]
        == "NestingLimitError: mutex 'guard' was not locked: the host keeps no shared state"
    )
    assert len(found) == 4
    assert worker.order() == []


class Granting:
    """Grants the mutexes of a worker at moments of chance, until it is told to stop."""

    def __init__(self, worker: Worker, seed: int) -> None:
        self.mutexes = worker.take_event = Mutexes(worker)
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Mutexes:
        self._thread.start()
        return self.mutexes

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._chance.random() / 3000):
            self.mutexes.grant()


def test_threads_of_a_call(start: Start) -> None:
    worker = start(WORKER)
    with Granting(worker, 1) as mutexes:
        assert cbor2.loads(worker.call("in_threads", b"\x05").inline) == 100
    assert mutexes.granted == 100
    assert mutexes.held is None
    assert mutexes.unseen == 0


@pytest.mark.parametrize(
    "name",
    [
        *("blocks", "named_blocks", "by_hand", "by_hand_of_others", "with_timeouts", "keeps"),
        "coroutines",
    ],
)
def test_nothing_is_held_that_a_cancelled_call_does_not_know_of(start: Start, name: str) -> None:
    """Cancelled at any moment, of the lock's way to and from the call as well."""
    worker = start(WORKER)
    chance = random.Random(3)
    with Granting(worker, 2) as mutexes:
        for _ in range(150):
            before = mutexes.granted
            seq = worker.start(name, b"\xf6")
            if name != "keeps" and chance.random() < 0.5:
                wait_for(lambda: mutexes.granted > before, "a lock")  # noqa: B023
            for n in range(chance.randrange(4)):
                worker.ping(n)
            worker.cancel(seq)
            outcome = worker.outcome(seq)
            if outcome.WhichOneof("result") == "inline":
                assert cbor2.loads(outcome.inline) == mutexes.left[seq]
            else:  # it was given up before its first instruction
                assert not mutexes.left[seq]
    assert mutexes.granted > 10
