"""The worker side of procpool: Python functions as typed calls to a Go program."""

from ._runtime import Cancelled
from ._serve import serve
from ._task import finalizer, initializer, session, stream, task

__all__ = ["Cancelled", "finalizer", "initializer", "serve", "session", "stream", "task"]
__version__ = "0.1.0"
