"""What a running call sees: context()."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _logging, _nested, _task
from ._future import Future
from ._runtime import Cancelled, HostRequest, current_call
from ._shape import Shape
from ._values import Values

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping

    from typing_extensions import TypedDict, Unpack

    from ._ref import Ref
    from ._runtime import RunningCall

    class SpawnOptions(TypedDict, total=False):
        """Those of a new actor: see Context.spawn."""

        shared: bool
        restarts: int
        timeout: float | None
        codec: str | None
        metadata: Mapping[str, str] | None
        priority: int

    class Options(TypedDict, total=False):
        """Those of a nested call: see Context.submit."""

        timeout: float | None
        codec: str | None
        metadata: Mapping[str, str] | None
        key: str
        priority: int


A = TypeVar("A")
R = TypeVar("R")


class Context:
    """A running call, from the inside. All may be used from any thread.

    Threads that a task starts see their call if they run in a copy of its context
    (contextvars.copy_context); or hand them this object.
    """

    __slots__ = ("_call",)

    def __init__(self, call: RunningCall | None) -> None:
        self._call = call

    @property
    def name(self) -> str:
        """The task's name; empty outside of a call."""
        return self._call.task.name if self._call else ""

    @property
    def attempt(self) -> int:
        """Which run of the call it is: 1 the first time, more when it is run again."""
        return self._call.attempt if self._call else 1

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the caller attached to the call, such as a trace context."""
        return self._call.metadata if self._call else {}

    @property
    def deadline(self) -> float | None:
        """When the caller's time is over, by time.monotonic(); None if it has no end.

        The host sees to it; a task that looks can do less in time.
        """
        return self._call.deadline if self._call else None

    @property
    def seconds_left(self) -> float | None:
        """The time until the deadline in seconds, 0 when it has passed, None without one."""
        deadline = self.deadline
        return None if deadline is None else max(deadline - time.monotonic(), 0.0)

    @property
    def cancelled(self) -> bool:
        """Whether the call was given up.

        The main thread gets Cancelled by itself; other threads of a task can look here.
        """
        return self._call is not None and self._call.cancelled

    def check(self) -> None:
        """Raise Cancelled if the call was given up."""
        if self.cancelled:
            raise Cancelled

    def report(self, done: float, total: float = 1.0, message: str = "") -> None:
        """Tell the caller how far the call has come: done of total, and what is being done.

        Cheap, and may be called often: reports that follow each other within 10 ms are
        made one, the last. Does nothing outside of a call.
        """
        if self._call:
            self._call.progress(float(done), float(total), message)

    @property
    def logger(self) -> logging.Logger:
        """A logger whose records go to the host's log, with this call's name and number."""
        return _logging.task_logger()

    @overload
    def submit(
        self, task: Callable[[A], Awaitable[R]], argument: A, **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(
        self, task: Callable[[A], R], argument: A, **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(
        self, task: str, argument: Any = ..., *, returns: type[R], **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(self, task: str, argument: Any = ..., **options: Unpack[Options]) -> Future[Any]: ...
    def submit(
        self, task: Any, argument: Any = None, *, returns: Any = Any, **options: Unpack[Options]
    ) -> Future[Any]:
        """Have the pool that runs this call run another: a nested call.

        task is a function of this program that was made a task, or the name of any task
        of the pool, in whatever language; then returns is the type that its result is to
        have. Of the options, timeout is how long it may run, in seconds; codec is another
        than the task's first, or than cbor; metadata, key and priority are as on the host's
        side. What is still running when this call ends is given up.

        It does not block. Raises CodecError for an argument that can't be encoded, and
        RuntimeError outside of a call; all other errors are the future's.
        """
        return Future(*self._request(_task.FUNCTION, task, argument, returns, **options))

    @overload
    def call(
        self, task: Callable[[A], Awaitable[R]], argument: A, **options: Unpack[Options]
    ) -> R: ...
    @overload
    def call(self, task: Callable[[A], R], argument: A, **options: Unpack[Options]) -> R: ...
    @overload
    def call(
        self, task: str, argument: Any = ..., *, returns: type[R], **options: Unpack[Options]
    ) -> R: ...
    @overload
    def call(self, task: str, argument: Any = ..., **options: Unpack[Options]) -> Any: ...
    def call(
        self, task: Any, argument: Any = None, *, returns: Any = Any, **options: Unpack[Options]
    ) -> Any:
        """Submit a call and wait for its result: submit(...).result().

        In an async task await submit(...) instead, which does not hold up its event loop.
        """
        return self.submit(task, argument, returns=returns, **options).result()

    @overload
    def stream(
        self, task: Callable[[A], AsyncIterable[R]], argument: A, **options: Unpack[Options]
    ) -> Values[R]: ...
    @overload
    def stream(
        self, task: Callable[[A], Iterable[R]], argument: A, **options: Unpack[Options]
    ) -> Values[R]: ...
    @overload
    def stream(
        self, task: str, argument: Any = ..., *, returns: type[R], **options: Unpack[Options]
    ) -> Values[R]: ...
    @overload
    def stream(self, task: str, argument: Any = ..., **options: Unpack[Options]) -> Values[Any]: ...
    def stream(
        self, task: Any, argument: Any = None, *, returns: Any = Any, **options: Unpack[Options]
    ) -> Values[Any]:
        """Have the pool run a stream, and return its values, to be looped over.

        As submit; returns is the type that each value is to have.
        """
        return Values(*self._request(_task.STREAM, task, argument, returns, **options))

    @overload
    def spawn(
        self, actor: Callable[[A], object], argument: A, **options: Unpack[SpawnOptions]
    ) -> Ref: ...
    @overload
    def spawn(self, actor: Callable[[], object], **options: Unpack[SpawnOptions]) -> Ref: ...
    @overload
    def spawn(self, actor: str, argument: Any = ..., **options: Unpack[SpawnOptions]) -> Ref: ...
    def spawn(self, actor: Any, argument: Any = None, **options: Any) -> Ref:
        """Have the pool that runs this call make an actor, and wait until it is open.

        actor is a class of this program that was made an actor, or the name of any actor of
        the pool, in whatever language. It gets a process of its own, unless shared: then it
        shares one with others and ends with it. restarts says how often it may be opened
        anew, from its argument, when its process dies. Of the other options timeout is how
        long the opening may take; they are as those of submit.

        The actor ends with this call, or if this call is of an actor, with that actor.
        Raises what its opening has raised, as TaskError; NestingLimitError where the pool has
        as many processes of actors as it may (Config.MaxDedicated); RuntimeError outside of a
        call. In an async task await spawn_async instead.
        """
        from ._ref import spawn

        return spawn(self._call, actor, argument, **options).result()

    @overload
    async def spawn_async(
        self, actor: Callable[[A], object], argument: A, **options: Unpack[SpawnOptions]
    ) -> Ref: ...
    @overload
    async def spawn_async(
        self, actor: Callable[[], object], **options: Unpack[SpawnOptions]
    ) -> Ref: ...
    @overload
    async def spawn_async(
        self, actor: str, argument: Any = ..., **options: Unpack[SpawnOptions]
    ) -> Ref: ...
    async def spawn_async(self, actor: Any, argument: Any = None, **options: Any) -> Ref:
        """Make an actor without holding up the event loop: see spawn."""
        from ._ref import spawn

        return await spawn(self._call, actor, argument, **options)

    def _request(
        self,
        kind: str,
        task: Any,
        argument: Any,
        returns: Any,
        *,
        codec: str | None = None,
        **options: Any,
    ) -> tuple[RunningCall, HostRequest, Shape]:
        """Make the request of a nested call; returns of what type its results are, too."""
        call = _nested.caller(self._call)
        if isinstance(task, str):
            name, preferred, takes, gives = task, "cbor", _nested.ANY, Shape(returns)
        else:
            made = _task.of(task)
            if made.kind != kind:
                what = _task.A_KIND[made.kind]
                raise TypeError(f"procpool: {made.name!r} is {what}: {_HOW[made.kind]}")
            name, preferred = made.name, made.codecs[0]
            takes, gives = made.input_shape, made.output_shape
        request = HostRequest(name, codec or preferred, b"", kind)
        return call, _nested.complete(request, argument, takes, **options), gives


_HOW = {
    _task.FUNCTION: "use submit or call",
    _task.STREAM: "use stream",
    _task.SESSION: "tasks can't open sessions of their own pool",
    _task.ACTOR: "use spawn, and the call of what it returns",
}


def context() -> Context:
    """Return the call that the code runs for.

    Outside of a call, in a test of a task's function for example, it is one that nobody
    made: it has no deadline, reports go nowhere, and it can't make calls.
    """
    return Context(current_call.get())
