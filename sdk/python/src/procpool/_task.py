"""Tasks: functions under a name, and the decorators that make them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import _codec, _hints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._runtime import Payload

F = TypeVar("F", bound="Callable[..., Any]")
_ATTRIBUTE = "__procpool_task__"

FUNCTION, STREAM, SESSION = "function", "stream", "session"


class Task:
    """A function that workers serve under a name. Made by the decorators."""

    def __init__(
        self,
        kind: str,
        name: str,
        function: Callable[..., Any],
        codecs: Sequence[str],
        errors: Mapping[str, type[BaseException]],
    ) -> None:
        self.name = name
        self.kind = kind
        self.original = function
        #: Runs a call: takes the argument, and for a session the received values as well.
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
            function
        )
        self.codecs = tuple(codecs)
        self.errors = dict(errors)
        self.doc = inspect.getdoc(function) or ""
        signature = _hints.signature(function, kind)
        if not signature.takes_argument:
            self.function = lambda _argument: function()
        self._input, self._output, self._receives = (
            signature.input,
            signature.output,
            signature.receives,
        )
        self.input = self._input.text
        self.output = self._output.text
        self.receives = self._receives.text if self._receives else ""

    def decode(self, codec: str, data: bytes | memoryview) -> Any:
        """Decode an argument; raises CodecFailure. May keep a view of data."""
        return _codec.decode(codec, data, self._input, "decode the argument")

    def decode_received(self, codec: str, data: bytes | memoryview) -> Any:
        """Decode a value that a session receives; raises CodecFailure."""
        assert self._receives is not None
        return _codec.decode(codec, data, self._receives, "decode a value")

    def encode(self, codec: str, value: Any) -> Payload:
        """Encode a result, or a value of a stream; raises CodecFailure."""
        return _codec.encode(codec, value, self._output, "encode the result")

    def __repr__(self) -> str:
        return f"<procpool {self.kind} {self.name!r}>"


class Hook(NamedTuple):
    """An initializer or a finalizer."""

    function: Callable[[], Any]
    is_async: bool


_tasks: dict[str, Task] = {}
initializers: list[Hook] = []
finalizers: list[Hook] = []


def registered() -> list[Task]:
    """Return all decorated tasks in the order in which they were made."""
    return list(_tasks.values())


def of(function: object) -> Task:
    """Return the task of a decorated function; TypeError if it is none."""
    found = getattr(function, _ATTRIBUTE, None)
    if not isinstance(found, Task):
        raise TypeError(
            f"procpool: {function!r} is no task: decorate it with @procpool.task, "
            "@procpool.stream or @procpool.session"
        )
    return found


def _decorator(
    kind: str,
    name: str | None,
    codecs: Sequence[str],
    errors: Mapping[str, type[BaseException]] | None,
) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        made = Task(kind, name or function.__name__, function, codecs, errors or {})
        if made.name in _tasks:
            raise ValueError(f"procpool: there are two tasks of the name {made.name!r}")
        _tasks[made.name] = made
        setattr(function, _ATTRIBUTE, made)
        return function

    return decorate


def task(
    name: str | None = None,
    *,
    codecs: Sequence[str] = ("cbor", "json"),
    errors: Mapping[str, type[BaseException]] | None = None,
) -> Callable[[F], F]:
    """Make a function of one argument a task."""
    return _decorator(FUNCTION, name, codecs, errors)


def stream(
    name: str | None = None,
    *,
    codecs: Sequence[str] = ("cbor", "json"),
    errors: Mapping[str, type[BaseException]] | None = None,
) -> Callable[[F], F]:
    """Make a generator function of one argument a stream."""
    return _decorator(STREAM, name, codecs, errors)


def session(
    name: str | None = None,
    *,
    codecs: Sequence[str] = ("cbor", "json"),
    errors: Mapping[str, type[BaseException]] | None = None,
) -> Callable[[F], F]:
    """Make a generator function of an argument and of received values a session."""
    return _decorator(SESSION, name, codecs, errors)


def initializer(function: F) -> F:
    """Have the function run in the main thread before the worker takes calls."""
    initializers.append(Hook(function, inspect.iscoroutinefunction(function)))
    return function


def finalizer(function: F) -> F:
    """Have the function run in the main thread when the worker leaves in peace."""
    finalizers.append(Hook(function, inspect.iscoroutinefunction(function)))
    return function
