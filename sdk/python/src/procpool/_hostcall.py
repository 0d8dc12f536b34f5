"""Calls that running calls make of their own pool: HostCall, HostReply, HostCancel."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from . import _message
from ._runtime import HostAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._call import Call
    from ._connection import Connection
    from ._gen import worker_pb2
    from ._request import Reply
    from ._runtime import HostRequest

    Done = Callable[[HostAnswer], None]
    Put = Callable[[bytes | memoryview], None]

_UNANSWERED = 65536  # beyond which the host kills
_BESIDE_ARGUMENT = 512 << 10  # what has to fit into a message beside the largest argument


class HostCalls:
    """The HostCalls of this process that are not answered. Any thread may call the methods.

    So may what interrupts one of them in its own thread: see Outgoing.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.interrupter = connection.interrupter
        self._lock = RLock()
        self._last = 0
        self._unanswered = 0  # given up or not
        self._waiting: dict[int, tuple[Call, Done, Put]] = {}

    def start(
        self, call: Call, request: HostRequest, done: Done, put: Put | None = None
    ) -> HostCall:
        """Make a HostCall for a running call. put takes the values of a stream."""
        from . import _rare

        failure = self._refusal(request)
        number = 0
        if failure is None:
            # The lock is held until the element has its place, so that none with a higher
            # number, and no HostCancel, gets past it.
            with self._lock:
                failure = self._refusal_now(call, request)
                if failure is None:
                    self._unanswered += 1
                    self._last += 1
                    number = self._last
                    self._waiting[number] = call, done, put or _drop
                    call.nested.add(number)
                    self._connection.outgoing.put(_rare.host_call(number, call, request))
        if failure is not None:
            done(HostAnswer(failure=failure))
        else:
            self._connection.outgoing.push()
        return HostCall(self, number)

    def tell(self, call: Call, request: HostRequest) -> None:
        """Make a HostCall that is not answered. Nothing happens if it can't be made."""
        from . import _rare

        if self._refusal(request) is not None:
            return
        with self._lock:
            if call.over:
                return
            self._last += 1
            element = _rare.host_call(self._last, call, request, no_reply=True)
            self._connection.outgoing.put(element)
        self._connection.outgoing.push()

    def value(self, number: int, payload: bytes | memoryview) -> None:
        """Take a value of a stream."""
        with self._lock:
            waiting = self._waiting.get(number)
        if waiting is not None:
            waiting[2](payload)

    def replied(self, reply: Reply) -> None:
        """Take an answer."""
        with self._lock:
            self._unanswered -= 1
            done = self._take(reply.id)
        if done is None:
            return
        failure = None
        if reply.failure is not None:
            from ._gen import worker_pb2

            failure = worker_pb2.Failure.FromString(reply.failure)
        done(HostAnswer(reply.result, failure, reply.actor))

    def end(self, call: Call) -> None:
        """Give up what a call has called that has ended. The host does so by itself."""
        with self._lock:
            left = [done for number in list(call.nested) if (done := self._take(number))]
        for done in left:
            done(_given_up("the call that has made it has ended"))

    def grant(self, number: int, values: int, size: int) -> None:
        """Give credit to a stream, unless it has ended."""
        if number in self._waiting:
            head = _message.host_call_head(number)
            self._connection.post(_message.credit(head, values, size))

    def give_up(self, number: int) -> None:
        """Give a HostCall up, unless it has ended."""
        with self._lock:
            done = self._take(number)
        if done is not None:
            from . import _rare

            self._connection.post(_rare.host_cancel(number))
            done(_given_up("it was cancelled"))

    def _take(self, number: int) -> Done | None:
        """Forget a HostCall that is about to be answered, None if it is. The lock is held."""
        if (waiting := self._waiting.pop(number, None)) is None:
            return None
        call, done, _ = waiting
        call.nested.discard(number)
        return done

    def _refusal(self, request: HostRequest) -> worker_pb2.Failure | None:
        """Return why a call can't be made, None if it can."""
        connection = self._connection
        if request.kind == "shared":
            if not connection.offers.shared_state:
                return _failure("NESTING_LIMIT", "the host keeps no shared state")
        elif not connection.offers.host_call:
            text = f"task {request.called!r} was not called: the host takes no calls from tasks"
            return _failure("NESTING_LIMIT", text)
        if request.kind == "actor" and not connection.offers.actor:
            text = f"task {request.called!r} was not called: the host has no actors"
            return _failure("UNKNOWN_TASK", text)
        size = _message.size_of(request.argument)
        if 0 < connection.max_payload < size:
            text = (
                f"the argument of task {request.called!r} has {size} bytes, "
                f"at most {connection.max_payload} are allowed (MaxPayload)"
            )
            return _failure("TOO_LARGE", text)
        texts = [request.name, request.method, request.codec, request.key]
        for name, value in request.metadata.items():
            texts += (name, value)
        beside = 4 * sum(map(len, texts)) + 16 * len(texts)  # of UTF-8, at most
        if beside > _BESIDE_ARGUMENT:
            text = (
                f"the names, the key and the metadata of a call of task {request.called!r} are "
                f"too long: together at most {_BESIDE_ARGUMENT // 4} characters are allowed"
            )
            return _failure("TOO_LARGE", text)
        return None

    def _refusal_now(self, call: Call, request: HostRequest) -> worker_pb2.Failure | None:
        text = f"task {request.called!r} was not called: "
        if call.over:
            text += "the call that makes it has ended"
        elif self._unanswered >= _UNANSWERED:
            text += f"{_UNANSWERED} calls of tasks of this worker are not answered"
        else:
            return None
        return _failure("NESTING_LIMIT", text)


class HostCall:
    """One of them, for who has made it. Its number is 0 if it was refused."""

    def __init__(self, calls: HostCalls, number: int) -> None:
        self._calls, self._number = calls, number

    def cancel(self) -> None:
        """Give it up. Does not block."""
        with self._calls.interrupter:
            self._calls.give_up(self._number)

    def grant(self, values: int, size: int) -> None:
        """Let the stream send that much more. Does not block."""
        with self._calls.interrupter:
            self._calls.grant(self._number, values, size)


def _drop(_value: bytes | memoryview) -> None:
    """Pass over a value of what is no stream."""


def _given_up(why: str) -> HostAnswer:
    text = f"the call was given up: {why}"
    return HostAnswer(failure=_failure("CANCELLED", text))


def _failure(kind: str, message: str) -> worker_pb2.Failure:
    from ._gen import worker_pb2

    return worker_pb2.Failure(kind=f"FAILURE_KIND_{kind}", message=message, language="python")
