"""Messages to the host that most calls do without, made by the generated code.

protobuf takes longer to import than all of this package: so this module is imported by the
functions that use it, and by itself a while after the start.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, cast

from . import _failure, _message
from ._call import TooLarge, UnknownTask
from ._gen import worker_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._call import Call
    from ._runtime import HostRequest, Payload
    from ._task import Task

_PROGRESS, _LOG, _HOST_CALL, _HOST_CANCEL = b"\x22", b"\x2a", b"\x32", b"\x3a"
_TEXT = 65536  # of more the host keeps nothing
_LOG_FIELDS = 128
_KINDS = {
    "function": worker_pb2.TASK_KIND_FUNCTION,
    "stream": worker_pb2.TASK_KIND_STREAM,
    "actor": worker_pb2.TASK_KIND_ACTOR,
    "shared": worker_pb2.TASK_KIND_SHARED,
}


def failed(seq: int, ran: int, error: BaseException, task: Task | None) -> bytes:
    """Encode the outcome of a call that has ended by an exception."""
    outcome = worker_pb2.Outcome(seq=seq, run_nanos=ran, failure=_failure_of(error, task))
    return _message.element(_message.OUTCOME, outcome.SerializeToString())


def _failure_of(error: BaseException, task: Task | None) -> worker_pb2.Failure:
    """Describe what has ended a call."""
    name = task.name if task is not None else ""
    if isinstance(error, TooLarge):
        kind = worker_pb2.FAILURE_KIND_TOO_LARGE
    elif isinstance(error, UnknownTask) or task is None:
        kind = worker_pb2.FAILURE_KIND_UNKNOWN_TASK
    else:
        try:
            return _failure.of(error, task)
        except Exception as another:  # an exception whose text can't be had, say
            text = f"{type(error).__qualname__}, which can't be described: {another!r}"
            kind = worker_pb2.FAILURE_KIND_TASK
            return worker_pb2.Failure(kind=kind, task=name, message=text, language="python")
    return worker_pb2.Failure(
        kind=kind, task=name, type=type(error).__name__, message=str(error), language="python"
    )


def progress(seq: int, done: float, total: float, message: str) -> bytes:
    """Encode how far a call has come."""
    encoded = worker_pb2.Progress(seq=seq, done=done, total=total, message=_text(message))
    return _message.element(_PROGRESS, encoded.SerializeToString())


def log(level: int, message: str, fields: Mapping[str, str], time_ns: int, seq: int) -> bytes:
    """Encode a line for the log; seq is 0 if no call has written it."""
    line = worker_pb2.Log(
        level=cast("worker_pb2.LogLevel", level),
        message=_text(message),
        seq=seq,
        time_unix_nanos=max(time_ns, 0),
    )
    left = _TEXT
    for name, value in list(fields.items())[:_LOG_FIELDS]:
        name, value = _text(name), _text(value)
        left -= len(name) + len(value)
        if left < 0:
            break
        line.fields[name] = value
    return _message.element(_LOG, line.SerializeToString())


def host_call(number: int, call: Call, request: HostRequest, no_reply: bool = False) -> Payload:
    """Encode a HostCall that a running call makes."""
    message = worker_pb2.HostCall(
        id=number,
        parent_seq=call.seq,
        name=request.name,
        codec=request.codec,
        kind=_KINDS[request.kind],
        result_credit=request.credit,
        result_credit_bytes=request.credit_bytes,
        metadata=request.metadata,
        key=request.key,
        priority=request.priority,
        actor=request.actor,
        method=request.method,
        shared=request.shared,
        restarts=request.restarts,
        no_reply=no_reply,
    )
    if call.deadline is not None:
        message.timeout_nanos = max(int((call.deadline - monotonic()) * 1e9), 1)
    if request.run_limit is not None:
        message.run_limit_nanos = max(int(request.run_limit * 1e9), 1)
    size = _message.size_of(request.argument)
    head = b"%b\x32%b" % (message.SerializeToString(), _message.varint(size))
    return _message.element_around(_HOST_CALL, head, request.argument, size)


def host_cancel(number: int) -> bytes:
    """Encode that a HostCall is given up."""
    encoded = worker_pb2.HostCancel(id=number).SerializeToString()
    return _message.element(_HOST_CANCEL, encoded)


def _text(text: str) -> str:
    """Return a text that fits: not too long, and without what UTF-8 can't have."""
    return str(text)[:_TEXT].encode("utf-8", "replace").decode()
