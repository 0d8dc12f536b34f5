"""The worker side of procpool: Python functions as typed calls to a Go program.

A worker is a program that decorates some functions and calls ``serve()``:

    import procpool

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    procpool.serve()
"""

from typing import TYPE_CHECKING

from ._context import Context, context
from ._errors import (
    ActorEndedError,
    CancelledError,
    ClosedError,
    CodecError,
    CrashError,
    DeadlineError,
    Error,
    NestingLimitError,
    PanicError,
    QueueFullError,
    ReentrantError,
    StartError,
    TaskError,
    TimeoutError,
    TooLargeError,
    UnknownTaskError,
)
from ._future import Future
from ._logging import LogHandler
from ._runtime import Cancelled
from ._serve import serve
from ._task import finalizer, initializer, session, stream, task
from ._values import Values

if TYPE_CHECKING:
    from ._actor import actor, method
    from ._ref import Ref

__all__ = [
    "ActorEndedError",
    "Cancelled",
    "CancelledError",
    "ClosedError",
    "CodecError",
    "Context",
    "CrashError",
    "DeadlineError",
    "Error",
    "Future",
    "LogHandler",
    "NestingLimitError",
    "PanicError",
    "QueueFullError",
    "ReentrantError",
    "Ref",
    "StartError",
    "TaskError",
    "TimeoutError",
    "TooLargeError",
    "UnknownTaskError",
    "Values",
    "actor",
    "context",
    "finalizer",
    "initializer",
    "method",
    "serve",
    "session",
    "stream",
    "task",
]
__version__ = "0.1.0"

# Errors show the name under which a program finds them.
for _name in __all__:
    if isinstance(globals().get(_name), type):
        globals()[_name].__module__ = __name__
del _name

# What is loaded when somebody uses it: most workers have no actors.
_LATER = {"actor": "_actor", "method": "_actor", "Ref": "_ref"}

if not TYPE_CHECKING:  # for whom it would say that there is whatever they ask for

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return globals()[name]
