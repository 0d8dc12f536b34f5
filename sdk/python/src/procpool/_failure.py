"""Exceptions as data, and data as the errors of nested calls.

What crosses the boundary is text. Nothing of it is ever run or unpickled.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _errors
from ._runtime import Cancelled

if TYPE_CHECKING:
    from traceback import TracebackException

    from ._gen import worker_pb2
    from ._task import Task

_TEXT = 64 << 10  # the host cuts texts that are longer
_CAUSES = 8
_CUT = "\n... (cut) ...\n"
_HERE = os.path.dirname(__file__) + os.sep


class CodecFailure(Exception):
    """A value could not be encoded or decoded. Costs its call only."""

    def __init__(self, op: str, codec: str, reason: str) -> None:
        super().__init__(reason)
        self.op, self.codec = op, codec


def of(error: BaseException, task: Task) -> worker_pb2.Failure:
    """Describe what a call of the task has raised."""
    from ._gen import worker_pb2

    failure = worker_pb2.Failure(
        kind=worker_pb2.FAILURE_KIND_TASK,
        task=task.name,
        type=_type(error),
        message=_text(error),
        notes=_notes(error),
        language="python",
    )
    if isinstance(error, CodecFailure):
        # No traceback: what it would show is this package.
        failure.kind = worker_pb2.FAILURE_KIND_CODEC
        failure.codec, failure.op = error.codec, error.op
        return failure
    if isinstance(error, SystemExit):
        failure.kind = worker_pb2.FAILURE_KIND_EXIT
        failure.message = f"SystemExit: {failure.message}"
    elif isinstance(error, Cancelled) and not error.args:
        failure.message = "the call was given up"
    for code, kinds in task.errors.items():
        if isinstance(error, kinds):
            failure.code = code
            break
    failure.stack = _stack(error)
    inner = failure
    for cause in _causes(error):
        inner.cause.CopyFrom(
            worker_pb2.Failure(
                kind=worker_pb2.FAILURE_KIND_TASK,
                task=task.name,
                type=_type(cause),
                message=_text(cause),
                notes=_notes(cause),
                language="python",
            )
        )
        inner = inner.cause
    return failure


def _type(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _text(error: object) -> str:
    """Return str(error) even if that raises, as UTF-8 can have it."""
    try:
        text = str(error)
    except Exception as why:
        text = f"(the text of a {type(error).__qualname__} can't be made: {type(why).__name__})"
    return _cut(text)


def _cut(text: str) -> str:
    data = text.encode(errors="backslashreplace")
    if len(data) > _TEXT:  # the end of a text often says more than its middle
        half = (_TEXT - len(_CUT)) // 2
        data = data[:half] + _CUT.encode() + data[-half:]
    return data.decode(errors="ignore")


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [_text(note) for note in notes] if isinstance(notes, (list, tuple)) else []


def _causes(error: BaseException) -> list[BaseException]:
    """Return what has caused the error: the nearest first, not too many."""
    found = [error]
    while len(found) <= _CAUSES:
        last = found[-1]
        cause = last.__cause__
        if cause is None and not last.__suppress_context__:
            cause = last.__context__
        if cause is None or any(cause is other for other in found):
            break
        found.append(cause)
    return found[1:]


def _stack(error: BaseException) -> str:
    import traceback

    try:
        summary = traceback.TracebackException.from_exception(error, compact=True)
        _without_own_frames(summary, set())
        lines = list(summary.format())
        if not hasattr(BaseException, "add_note"):  # before Python 3.11 these are not shown
            lines += [f"{note}\n" for note in _notes(error)]
        return _cut("".join(lines))
    except Exception as why:
        return f"(the traceback can't be made: {type(why).__name__})"


def _without_own_frames(summary: TracebackException, seen: set[int]) -> None:
    if id(summary) in seen:
        return
    seen.add(id(summary))
    summary.stack[:] = [frame for frame in summary.stack if not frame.filename.startswith(_HERE)]
    others = [summary.__cause__, summary.__context__, *(getattr(summary, "exceptions", None) or ())]
    for other in others:
        if other is not None:
            _without_own_frames(other, seen)


def to_exception(failure: worker_pb2.Failure, task: str) -> _errors.Error:
    """Make the error of a nested call that failed."""
    from ._gen import worker_pb2 as pb

    task = failure.task or task
    kind = failure.kind
    if kind == pb.FAILURE_KIND_CRASH:
        return _crash(failure.crash, task)
    if kind == pb.FAILURE_KIND_ACTOR_ENDED:
        return _ended(failure, task)
    if kind in _REFUSALS:
        made = _REFUSALS[kind](failure.message or f"the call of task {task!r} failed", task)
    elif kind == pb.FAILURE_KIND_CODEC:
        made = codec_error(CodecFailure(failure.op, failure.codec, failure.message), task)
    elif kind == pb.FAILURE_KIND_TIMEOUT:
        limit = failure.limit_nanos / 1e9
        made = _errors.TimeoutError(
            failure.message or f"task {task!r} ran longer than its timeout of {limit:g}s", task
        )
    elif kind == pb.FAILURE_KIND_START:
        made = _errors.StartError(f"can't start a worker: {failure.message}", task)
        made.output = failure.stack
    else:
        made = _task_error(failure, task)
    return made


def codec_error(failure: CodecFailure, task: str) -> _errors.CodecError:
    """Make the error of a nested call whose argument or result does not fit its codec."""
    op, codec = failure.op or "encode or decode a value", failure.codec
    made = _errors.CodecError(f"can't {op} of task {task!r} with codec {codec!r}: {failure}", task)
    made.codec, made.op = failure.codec, failure.op
    return made


def _task_error(failure: worker_pb2.Failure, task: str) -> _errors.TaskError:
    from ._gen import worker_pb2 as pb

    panics = (pb.FAILURE_KIND_PANIC, pb.FAILURE_KIND_EXIT)
    family = _errors.PanicError if failure.kind in panics else _errors.TaskError
    named = f"{failure.type}: " if failure.type else ""
    made = family(f"task {task!r} failed: {named}{failure.message}", task)
    made.type, made.message, made.code = failure.type, failure.message, failure.code
    made.stack, made.language = failure.stack, failure.language
    if failure.notes:
        vars(made)["__notes__"] = list(failure.notes)  # add_note came with Python 3.11
    if failure.HasField("cause"):
        made.__cause__ = _task_error(failure.cause, failure.cause.task or task)
    return made


def _crash(crash: worker_pb2.Crash, task: str) -> _errors.CrashError:
    lost = "; the function had returned but its result was lost" if crash.finished else ""
    made = _errors.CrashError(
        f"worker {crash.pid} died running {task!r}: {crash.reason}{lost}", task
    )
    made.pid, made.worker = crash.pid, crash.worker
    made.exit_code, made.signal, made.reason = crash.exit_code, crash.signal, crash.reason
    made.out_of_memory = ("no", "likely", "yes")[min(crash.oom, 2)]
    made.stderr, made.attempt, made.finished = crash.stderr, crash.attempt, crash.finished
    return made


def _ended(failure: worker_pb2.Failure, task: str) -> _errors.ActorEndedError:
    made = _errors.ActorEndedError(failure.message or f"the actor of {task!r} has ended", task)
    if failure.HasField("crash"):
        made.__cause__ = made.crash = _crash(failure.crash, task)
    elif failure.HasField("cause"):
        made.__cause__ = to_exception(failure.cause, task)
    return made


_REFUSALS: dict[int, type[_errors.Error]] = {  # by FailureKind
    5: _errors.TooLargeError,
    6: _errors.UnknownTaskError,
    9: _errors.CancelledError,
    10: _errors.DeadlineError,
    11: _errors.ClosedError,
    12: _errors.QueueFullError,
    14: _errors.NestingLimitError,
    21: _errors.ReentrantError,
}
