"""Ref: an actor of the pool, as tasks and actors see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _actor, _nested
from ._future import Future
from ._runtime import HostRequest, current_call
from ._shape import Shape
from ._task import ACTOR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from typing_extensions import TypedDict, Unpack

    from ._runtime import HostAnswer, RunningCall

    class Options(TypedDict, total=False):
        """Those of a call of an actor: see Context.submit."""

        timeout: float | None
        codec: str | None
        metadata: Mapping[str, str] | None
        priority: int


A = TypeVar("A")
R = TypeVar("R")

_DIGITS = frozenset("0123456789abcdefABCDEF")
_NUMBERS = 1 << 53  # of actors are below
_RESTARTS = 1000  # that the host allows at most


class Ref:
    """Refers to an actor that Context.spawn has made. Any thread of a task may use it.

    It can be part of arguments and results, also of tasks in other languages: what crosses
    the boundary is its text, such as ``counter#1f``, of which Ref(text) makes one again; the
    type hint Ref does so by itself. A Ref belongs to no call: whoever calls or closes the
    actor does so for the task that runs there, which must be of the same pool.
    """

    __slots__ = ("_actor", "_number")
    __module__ = "procpool"

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(
                f"procpool: a Ref is made of its text, and this is {text!r}: for a new actor use "
                "procpool.context().spawn"
            )
        name, _, digits = text.rpartition("#")
        number = int(digits, 16) if digits and _DIGITS.issuperset(digits) else 0
        if not name or not 0 < number < _NUMBERS:
            raise ValueError(f"{text!r} is not the name and number of an actor")
        self._actor, self._number = name, number

    @property
    def actor(self) -> str:
        """The actor's name."""
        return self._actor

    @overload
    def submit(
        self, method: Callable[[Any, A], Awaitable[R]], argument: A, **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(
        self, method: Callable[[Any, A], R], argument: A, **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(
        self, method: Callable[[Any], Awaitable[R]], **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(self, method: Callable[[Any], R], **options: Unpack[Options]) -> Future[R]: ...
    @overload
    def submit(
        self, method: str, argument: Any = ..., *, returns: type[R], **options: Unpack[Options]
    ) -> Future[R]: ...
    @overload
    def submit(
        self, method: str, argument: Any = ..., **options: Unpack[Options]
    ) -> Future[Any]: ...
    def submit(
        self, method: Any, argument: Any = None, *, returns: Any = Any, **options: Unpack[Options]
    ) -> Future[Any]:
        """Have the actor run a method. It does not block.

        method is one of a class of this program that was made an actor, as in Counter.add, or
        the name of any; then returns is the type that its result is to have. The options
        are those of Context.submit. Calls of one actor run in the order in which they were
        made, but for priorities.

        Raises CodecError for an argument that can't be encoded, and RuntimeError outside of
        a call; all other errors are the future's, such as ActorEndedError.
        """
        return Future(*self._request(method, argument, returns, **options))

    @overload
    def call(
        self, method: Callable[[Any, A], Awaitable[R]], argument: A, **options: Unpack[Options]
    ) -> R: ...
    @overload
    def call(self, method: Callable[[Any, A], R], argument: A, **options: Unpack[Options]) -> R: ...
    @overload
    def call(self, method: Callable[[Any], Awaitable[R]], **options: Unpack[Options]) -> R: ...
    @overload
    def call(self, method: Callable[[Any], R], **options: Unpack[Options]) -> R: ...
    @overload
    def call(
        self, method: str, argument: Any = ..., *, returns: type[R], **options: Unpack[Options]
    ) -> R: ...
    @overload
    def call(self, method: str, argument: Any = ..., **options: Unpack[Options]) -> Any: ...
    def call(
        self, method: Any, argument: Any = None, *, returns: Any = Any, **options: Unpack[Options]
    ) -> Any:
        """Have the actor run a method and wait for its result: submit(...).result().

        In an async task await submit(...) instead, which does not hold up its event loop.
        """
        return self.submit(method, argument, returns=returns, **options).result()

    def close(self) -> None:
        """End the actor, and wait until it has ended.

        Calls of it that wait or run fail with ActorEndedError; then its state is closed, and
        what that has raised is raised here, as TaskError. If the actor had ended by itself
        ActorEndedError says why. In an async task await close_async instead.
        """
        self._end().result()

    async def close_async(self) -> None:
        """End the actor without holding up the event loop: see close."""
        await self._end()

    def _end(self) -> Future[None]:
        call = _nested.caller(current_call.get())
        return _Ending(
            call, HostRequest(self._actor, "cbor", b"", ACTOR, actor=self._number), _NONE
        )

    def _request(
        self,
        method: Any,
        argument: Any,
        returns: Any,
        *,
        timeout: float | None = None,
        codec: str | None = None,
        metadata: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> tuple[RunningCall, HostRequest, Shape]:
        call = _nested.caller(current_call.get())
        if isinstance(method, str):
            name, preferred, takes, gives = method, "cbor", _nested.ANY, Shape(returns)
        else:
            made = _actor.method_of(method, self._actor)
            name, preferred = made.method, made.codecs[0]
            takes, gives = made.input_shape, made.output_shape
        request = HostRequest(
            self._actor, codec or preferred, b"", ACTOR, actor=self._number, method=name
        )
        request = _nested.complete(
            request, argument, takes, timeout=timeout, metadata=metadata, priority=priority
        )
        return call, request, gives

    if not TYPE_CHECKING:  # for whom it would say that there is whatever they ask for

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"a Ref has no {name!r}; a method of its actor is called by ref.call({name!r}, ...)"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ref):
            return NotImplemented
        return (self._actor, self._number) == (other._actor, other._number)

    def __hash__(self) -> int:
        return hash((self._actor, self._number))

    def __str__(self) -> str:
        return f"{self._actor}#{self._number:x}"

    def __repr__(self) -> str:
        return f"procpool.Ref({str(self)!r})"


_NONE = Shape(None)


class Spawning(Future[Ref]):
    """The Ref of an actor that is being opened."""

    _number = 0

    def _answer(self, answer: HostAnswer) -> None:
        self._number = answer.actor
        super()._answer(answer)

    def _decode(self, encoded: bytes | memoryview) -> None:
        self._value = Ref(f"{self._request.name}#{self._number:x}")


class _Ending(Future[None]):
    """The end of an actor, whose answer holds nothing."""

    def _decode(self, encoded: bytes | memoryview) -> None:
        self._value = None


def spawn(
    call: RunningCall | None,
    actor: Any,
    argument: Any,
    *,
    shared: bool = False,
    restarts: int = 0,
    timeout: float | None = None,
    codec: str | None = None,
    metadata: Mapping[str, str] | None = None,
    priority: int = 0,
) -> Spawning:
    """Have the pool of a running call make an actor: see Context.spawn."""
    call = _nested.caller(call)
    if not 0 <= restarts <= _RESTARTS:
        raise ValueError(f"procpool: restarts={restarts}: it is between 0 and {_RESTARTS}")
    if shared and restarts:
        raise ValueError(
            f"procpool: restarts={restarts} and shared=True don't go together, since actors that "
            "share a process end with it: leave out one of them"
        )
    if isinstance(actor, str):
        name, preferred, takes = actor, "cbor", _nested.ANY
    else:
        made = _actor.of(actor)
        name, preferred, takes = made.name, made.codecs[0], made.input_shape
    request = HostRequest(
        name, codec or preferred, b"", ACTOR, shared=bool(shared), restarts=restarts
    )
    request = _nested.complete(
        request, argument, takes, timeout=timeout, metadata=metadata, priority=priority
    )
    return Spawning(call, request, _NONE)
