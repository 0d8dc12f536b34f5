"""What the processes of a pool share: a Mutex, a Semaphore, a Counter, and a Queue of work.

The state lives in the Go program, in the pool, so that the death of a worker neither takes
it along nor leaves it half changed. The program and its tasks, in whatever language, use
it by the same names. To tasks in Python they are handles:

    from procpool import shared

    guard = shared.Mutex("guard")

    @procpool.task()
    def append(line: str) -> None:
        with guard:
            ...  # no other call of the pool is here at the same time, nor the program

Make them at module level; only a running task can use them. All may be used from any
thread that sees its call (see Context). What waits has a timeout in seconds, None for
none, behind which it raises the builtin TimeoutError; the call's run time stands still
meanwhile. A coroutine uses the forms that end in _async, ``async with`` and ``async for``,
which don't hold up the event loop.

**Whose it is.** What a call got belongs to it, until it gives it back or ends: the host
takes the rest when the call has ended or its worker is dead, and never before. A lock that
was not given back counts as abandoned, and the next who gets it is told; an item goes back
to the front of its queue. Who is cancelled while it waits gets nothing.

**What has happened.** An operation that has returned has happened, exactly once. If a call
is cancelled, or a timeout ends, while the answer to add, put or done is on its way, it may
have happened.
"""

from __future__ import annotations

from operator import index
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _cancel
from ._runtime import current_call
from ._shared_operation import (
    Granted,
    LimitError,
    MismatchError,
    NotHeldError,
    Operation,
    QueueClosedError,
    WouldBlockError,
    check_name,
    check_number,
)
from ._shared_queue import DeadLetter, Info, Item, Queue

if TYPE_CHECKING:
    from types import TracebackType

    from ._shared_operation import Answer

__all__ = [
    "Counter",
    "DeadLetter",
    "Held",
    "Info",
    "Item",
    "LimitError",
    "MismatchError",
    "Mutex",
    "NotHeldError",
    "Permits",
    "Queue",
    "QueueClosedError",
    "Semaphore",
    "WouldBlockError",
]

_cancel.keeps_out.add(__name__)


class _Holding:
    """What somebody has of a mutex or a semaphore; gives it back at the end of a with block."""

    def __init__(self, answer: Answer) -> None:
        assert answer.granted is not None
        self._granted: Granted = answer.granted
        #: Whether the last to have this did not give it back, but died, or ended without
        #: doing so: what it guards may be half changed.
        self.abandoned: bool = answer.reply.get("abandoned", False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._granted.give_back()


class Held(_Holding):
    """A mutex that somebody has locked. A with block unlocks it at its end."""

    def unlock(self) -> None:
        """Give the lock back. Does not block; once more does nothing."""
        self._granted.give_back()

    def __enter__(self) -> Held:
        return self


class Permits(_Holding):
    """Permits of a semaphore that somebody has. A with block releases them at its end."""

    def release(self) -> None:
        """Give the permits back. Does not block; once more does nothing."""
        self._granted.give_back()

    def __enter__(self) -> Permits:
        return self


H = TypeVar("H", bound=_Holding)


class _Lock(Generic[H]):
    """What a with block can hold by its handle alone."""

    def __init__(self, name: str) -> None:
        check_name(name)
        self.name = name
        self._lock = Lock()  # nothing is raised where it is locked
        self._entered: list[H] = []  # what the running call has in such blocks

    def _get_one(self) -> Operation:
        raise NotImplementedError

    def _made(self, answer: Answer) -> H:
        raise NotImplementedError

    def __enter__(self) -> H:
        return self._enter(self._made(self._get_one().perform()))

    async def __aenter__(self) -> H:
        return self._enter(self._made(await self._get_one().perform_async()))

    def _enter(self, holding: H) -> H:
        call = holding._granted.call
        with self._lock:
            # Others are of calls that have ended, and have nothing any more.
            self._entered = [other for other in self._entered if other._granted.call is call]
            self._entered.append(holding)
        return holding

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        call = current_call.get()
        with self._lock:
            # A call that is in several, by threads or coroutines, has the same in each.
            found = self._entered and self._entered[-1]._granted.call is call
            holding = self._entered.pop() if found else None
        if holding is not None:
            holding._granted.give_back()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"procpool.shared.{type(self).__name__}({self.name!r})"


class Mutex(_Lock[Held]):
    """A lock that one holds at a time, of all calls of a pool and its program.

    ``with guard:`` locks it, and unlocks it at the end. It is not re-entrant: who has it
    and asks for it waits for itself.
    """

    def lock(self, timeout: float | None = None) -> Held:
        """Lock it, and wait until that is possible, so many seconds at most.

        Who asks first is served first.
        """
        return self._made(self._get_one().perform(timeout))

    async def lock_async(self, timeout: float | None = None) -> Held:
        """As lock."""
        return self._made(await self._get_one().perform_async(timeout))

    def try_lock(self) -> Held | None:
        """Lock it if that is possible at once, else return None."""
        try:
            return self._made(self._lock_it(no_wait=True).perform())
        except WouldBlockError:
            return None

    async def try_lock_async(self) -> Held | None:
        """As try_lock."""
        try:
            return self._made(await self._lock_it(no_wait=True).perform_async())
        except WouldBlockError:
            return None

    def _get_one(self) -> Operation:
        return self._lock_it()

    def _lock_it(self, **more: Any) -> Operation:
        failed = f"mutex {self.name!r} was not locked"
        return Operation("mutex.lock", {"name": self.name, **more}, failed, "mutex.unlock")

    def _made(self, answer: Answer) -> Held:
        return Held(answer)


class Semaphore(_Lock[Permits]):
    """A number of permits, each of which one may have at a time.

    ``with slots:`` is for one permit.
    """

    def __init__(self, name: str, size: int) -> None:
        """Name the semaphore, which has so many permits."""
        super().__init__(name)
        check_number(name, "permits", size)
        self.size = size

    def acquire(self, count: int = 1, timeout: float | None = None) -> Permits:
        """Get so many permits at once, and wait for them, so many seconds at most.

        Who asks first is served first: a few permits don't overtake many.
        """
        return self._made(self._get_some(count).perform(timeout))

    async def acquire_async(self, count: int = 1, timeout: float | None = None) -> Permits:
        """As acquire."""
        return self._made(await self._get_some(count).perform_async(timeout))

    def try_acquire(self, count: int = 1) -> Permits | None:
        """Get so many permits if there are and nobody waits for some, else return None."""
        try:
            return self._made(self._get_some(count, no_wait=True).perform())
        except WouldBlockError:
            return None

    async def try_acquire_async(self, count: int = 1) -> Permits | None:
        """As try_acquire."""
        try:
            return self._made(await self._get_some(count, no_wait=True).perform_async())
        except WouldBlockError:
            return None

    def _get_one(self) -> Operation:
        return self._get_some(1)

    def _get_some(self, count: int, **more: Any) -> Operation:
        check_number(self.name, "permits", count, self.size)
        arguments = {"name": self.name, "size": self.size, "count": count, **more}
        failed = f"{count} permits of semaphore {self.name!r} were not got"
        return Operation("semaphore.acquire", arguments, failed, "semaphore.release")

    def _made(self, answer: Answer) -> Permits:
        return Permits(answer)

    def __repr__(self) -> str:
        return f"procpool.shared.Semaphore({self.name!r}, {self.size})"


class Counter:
    """A number of 64 bits that begins at 0."""

    def __init__(self, name: str) -> None:
        check_name(name)
        self.name = name

    def add(self, delta: int = 1) -> int:
        """Add delta, which may be negative, and return the sum.

        A sum beyond 64 bits is an error and changes nothing.
        """
        return _total(self._add(delta).perform())

    async def add_async(self, delta: int = 1) -> int:
        """As add."""
        return _total(await self._add(delta).perform_async())

    def value(self) -> int:
        """Return the number."""
        return _total(self._add(0).perform())

    async def value_async(self) -> int:
        """As value."""
        return _total(await self._add(0).perform_async())

    def _add(self, delta: int) -> Operation:
        try:
            delta = index(delta)  # also numpy's
        except TypeError:
            raise TypeError(
                f"procpool: {delta!r} can't be added to counter {self.name!r}: it is no int"
            ) from None
        if not -(1 << 63) <= delta < 1 << 63:
            raise ValueError(
                f"procpool: {delta} can't be added to counter {self.name!r}: it has more than 64 "
                "bits"
            )
        failed = f"counter {self.name!r} was not "
        failed += "changed, or nobody knows" if delta else "read"
        return Operation("counter.add", {"name": self.name, "delta": delta}, failed)

    def __repr__(self) -> str:
        return f"procpool.shared.Counter({self.name!r})"


def _total(answer: Answer) -> int:
    total: int = answer.reply.get("total", 0)
    return total


# They show the name under which a program finds them.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
