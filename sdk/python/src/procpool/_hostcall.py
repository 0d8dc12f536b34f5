"""Calls that running calls make of their own pool: HostCall, HostReply, HostCancel."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from . import _message
from ._gen import worker_pb2
from ._runtime import HostAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._call import Call
    from ._connection import Connection
    from ._runtime import HostRequest

    Done = Callable[[HostAnswer], None]

_UNANSWERED = 65536  # beyond which the host kills
_BESIDE_ARGUMENT = 512 << 10  # what has to fit into a message beside the largest argument


class HostCalls:
    """The HostCalls of this process that are not answered. Any thread may call the methods."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        self._last = 0
        self._unanswered = 0  # given up or not
        self._waiting: dict[int, tuple[Call, Done]] = {}

    def start(self, call: Call, request: HostRequest, done: Done) -> Callable[[], None]:
        """Make a HostCall for a running call; what is returned gives it up."""
        failure = self._refusal(request)
        number = 0
        if failure is None:
            message = _message_of(call, request)
            # The lock is held until the element has its place, so that none with a higher
            # number, and no HostCancel, gets past it.
            with self._lock:
                failure = self._refusal_now(call, request)
                if failure is None:
                    self._unanswered += 1
                    self._last += 1
                    number = message.id = self._last
                    self._waiting[number] = call, done
                    call.nested.add(number)
                    self._connection.outgoing.put(_message.host_call(message, request.argument))
        if failure is not None:
            done(HostAnswer(failure=failure))
            return lambda: None
        self._connection.outgoing.push()
        return lambda: self._give_up(number)

    def replied(self, reply: worker_pb2.HostReply, result: bytes | memoryview) -> None:
        """Take an answer. result is that of the reply, if it has one."""
        with self._lock:
            self._unanswered -= 1
            done = self._take(reply.id)
        if done is not None:
            done(HostAnswer(result, reply.failure if reply.HasField("failure") else None))

    def end(self, call: Call) -> None:
        """Give up what a call has called that has ended. The host does so by itself."""
        with self._lock:
            left = [done for number in list(call.nested) if (done := self._take(number))]
        for done in left:
            done(_given_up("the call that has made it has ended"))

    def _give_up(self, number: int) -> None:
        with self._lock:
            done = self._take(number)
        if done is not None:
            cancel = worker_pb2.HostCancel(id=number).SerializeToString()
            self._connection.post(_message.element(_message.HOST_CANCEL, cancel))
            done(_given_up("it was cancelled"))

    def _take(self, number: int) -> Done | None:
        """Forget a HostCall that is about to be answered, None if it is. The lock is held."""
        if (waiting := self._waiting.pop(number, None)) is None:
            return None
        call, done = waiting
        call.nested.discard(number)
        return done

    def _refusal(self, request: HostRequest) -> worker_pb2.Failure | None:
        """Return why a call can't be made, None if it can."""
        connection = self._connection
        if not connection.offers.host_call:
            text = f"task {request.name!r} was not called: the host takes no calls from tasks"
            return _failure(worker_pb2.FAILURE_KIND_NESTING_LIMIT, text)
        size = _message.size_of(request.argument)
        if 0 < connection.max_payload < size:
            text = (
                f"the argument of task {request.name!r} has {size} bytes, "
                f"at most {connection.max_payload} are allowed (MaxPayload)"
            )
            return _failure(worker_pb2.FAILURE_KIND_TOO_LARGE, text)
        texts = [request.name, request.codec, request.key]
        for name, value in request.metadata.items():
            texts += (name, value)
        beside = 4 * sum(map(len, texts)) + 16 * len(texts)  # of UTF-8, at most
        if beside > _BESIDE_ARGUMENT:
            text = (
                f"the names, the key and the metadata of a call of task {request.name!r} are too "
                f"long: together at most {_BESIDE_ARGUMENT // 4} characters are allowed"
            )
            return _failure(worker_pb2.FAILURE_KIND_TOO_LARGE, text)
        return None

    def _refusal_now(self, call: Call, request: HostRequest) -> worker_pb2.Failure | None:
        text = f"task {request.name!r} was not called: "
        if call.over:
            text += "the call that makes it has ended"
        elif self._unanswered >= _UNANSWERED:
            text += f"{_UNANSWERED} calls of tasks of this worker are not answered"
        else:
            return None
        return _failure(worker_pb2.FAILURE_KIND_NESTING_LIMIT, text)


def _message_of(call: Call, request: HostRequest) -> worker_pb2.HostCall:
    message = worker_pb2.HostCall(
        parent_seq=call.seq,
        name=request.name,
        codec=request.codec,
        kind=worker_pb2.TASK_KIND_FUNCTION,
        metadata=request.metadata,
        key=request.key,
        priority=request.priority,
    )
    if call.deadline is not None:
        message.timeout_nanos = max(int((call.deadline - monotonic()) * 1e9), 1)
    if request.run_limit is not None:
        message.run_limit_nanos = max(int(request.run_limit * 1e9), 1)
    return message


def _given_up(why: str) -> HostAnswer:
    text = f"the call was given up: {why}"
    return HostAnswer(failure=_failure(worker_pb2.FAILURE_KIND_CANCELLED, text))


def _failure(kind: worker_pb2.FailureKind, message: str) -> worker_pb2.Failure:
    return worker_pb2.Failure(kind=kind, message=message, language="python")
