"""The errors of nested calls: what a task gets when a call that it made fails.

Four families, because callers do four different things: the task failed (TaskError,
PanicError), its process died (CrashError), the pool refused (the others), or time was
over (DeadlineError).
"""

from __future__ import annotations

import builtins


class Error(Exception):
    """The base of all errors of nested calls. task is the name of what was called."""

    def __init__(self, message: str, task: str = "") -> None:
        super().__init__(message)
        self.task = task


class TaskError(Error):
    """The task itself failed: it raised an exception or returned an error."""

    #: The type of the exception or error, in the worker's language.
    type: str = ""
    #: Its text.
    message: str = ""
    #: The name of the sentinel that it matched, if the task has named some.
    code: str = ""
    #: The traceback or stack.
    stack: str = ""
    #: The worker's language, such as "python".
    language: str = ""


class PanicError(TaskError):
    """The task panicked (in Go), or ended its thread, as sys.exit does."""


class CrashError(Error):
    """The process that ran the call died."""

    #: Its process id, and its number in the pool.
    pid: int = 0
    worker: int = 0
    #: Its exit code, -1 when a signal ended it, whose name is in signal.
    exit_code: int = -1
    signal: str = ""
    #: The cause of death in words.
    reason: str = ""
    #: Whether it ran out of memory: "no", "likely" or "yes".
    out_of_memory: str = "no"
    #: The end of what it wrote to standard error.
    stderr: str = ""
    #: Which run of the call it was, counted from 1.
    attempt: int = 1
    #: Whether the function had returned and only its result was lost.
    finished: bool = False


class StartError(Error):
    """No worker could be started. output is the end of what the program printed."""

    output: str = ""


class CodecError(Error):
    """A value could not be encoded or decoded, by the codec of that name."""

    codec: str = ""
    #: What could not be done, such as "encode the argument".
    op: str = ""


class TooLargeError(Error):
    """The argument or the result is larger than the pool's MaxPayload."""


class UnknownTaskError(Error):
    """No worker of the pool serves a task of that name and kind."""


class NestingLimitError(Error):
    """The call is nested too deeply, one of too many, or made where none may be."""


class ClosedError(Error):
    """The pool takes no more calls."""


class QueueFullError(Error):
    """The pool has no room for the call."""


class CancelledError(Error):
    """The call was given up, by Future.cancel or because the call that made it ended."""


class ActorEndedError(Error):
    """The actor has ended: it was closed, or its process died for good.

    The call did not run. What has ended the actor is the error's __cause__, where the host
    tells; if its process died that is in crash, too.
    """

    crash: CrashError | None = None


class ReentrantError(Error):
    """The call would have an actor wait for itself.

    A method of the actor makes it, or a call that such a method waits for.
    """


class DeadlineError(Error, builtins.TimeoutError):
    """The time of the call that made it was over."""


class TimeoutError(DeadlineError):  # the builtin's name, as in concurrent.futures
    """The call ran longer than its timeout."""
