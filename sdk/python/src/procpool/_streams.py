"""Values of streams and sessions that run here: credit, sending, receiving."""

from __future__ import annotations

from collections import deque
from threading import Lock
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from . import _message
from ._call import TooLarge
from ._runtime import Cancelled
from ._transport import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._call import Call
    from ._cancel import Wake
    from ._runtime import Payload

# The credit with which a session's input begins. Half of it is with the host, or on its
# way there.
_WINDOW, _WINDOW_BYTES = 1024, 1 << 20
# A value that comes that soon after one was sent waits for others, until they have that
# many bytes or for that many seconds.
_GATHER_NANOS = 100_000
_GATHER_BYTES = 32 << 10
_LATE = 0.001


class Signal(Protocol):
    """What a task waits on. Set by another thread; remembers one setting."""

    def set(self) -> None:
        """Have the wait that runs, or the next one, return."""


S = TypeVar("S", bound="Signal")


class Port(Generic[S]):
    """A running call's end of its values.

    The task's side is used by one thread at a time, the host's by the connection's. What
    blocks is not here: a task waits on `room` and `ready` in its own way, in the main
    thread or in the event loop.
    """

    def __init__(self, call: Call, credit: int, size: int, room: S, ready: S) -> None:
        self.call = call
        self._connection = call.connection
        self._head = _message.value_head(call.seq)
        self.room, self.ready = room, ready
        self._lock = Lock()  # of both credits
        self._credit, self._credit_bytes = credit, size
        self._last = 0  # the number of the last value in the outgoing messages
        self._pushed = 0  # when, by monotonic_ns
        self._gathered = 0
        self._values: deque[bytes | memoryview] = deque()
        self._input_over = True
        self._left, self._left_bytes = 0, 0
        self._taken, self._taken_bytes = 0, 0

    # The task's side.

    @property
    def may_send(self) -> bool:
        """Whether there is credit for a value."""
        return self._credit > 0 and self._credit_bytes > 0

    def send(self, encoded: Payload) -> None:
        """Send a value, for which there is credit."""
        call, connection = self.call, self._connection
        size = _message.size_of(encoded)
        if 0 < connection.max_payload < size:
            raise TooLarge("a value", call.task.name, size, connection.max_payload)
        if call.cancelled or connection.closed:
            raise Cancelled
        with self._lock:
            self._credit -= 1
            self._credit_bytes -= size
        outgoing = connection.outgoing
        self._last = outgoing.put(_message.value(self._head, encoded, size))
        self._gathered += size + 16
        now = monotonic_ns()
        if now - self._pushed >= _GATHER_NANOS:
            # The task may go on to compute, and keep the interpreter to itself.
            outgoing.await_covered(self._last)
        elif self._gathered >= _GATHER_BYTES:
            outgoing.push()
        else:
            connection.push_later(_LATE)
            return
        self._pushed, self._gathered = now, 0

    def flush(self) -> None:
        """Send what was not sent, before the task waits for something. Blocks shortly."""
        self._connection.outgoing.await_covered(self._last)

    def close(self) -> None:
        """Send what was not sent, and block until the kernel has it all."""
        self._input_over = True
        self._connection.outgoing.await_written(self._last)

    def open(self, takes_input: bool) -> None:
        """Let the host send credit, and values if they are taken. From here on they may come."""
        if takes_input:
            self._input_over = False
            self._left, self._left_bytes = _WINDOW, _WINDOW_BYTES
        self.call.port = self
        if takes_input:
            self._connection.post(_message.credit(self._head, _WINDOW, _WINDOW_BYTES))

    def take(self) -> bytes | memoryview | None:
        """Return the next value, None if there is none."""
        if not self._values:
            return None
        value = self._values.popleft()
        self._taken += 1
        self._taken_bytes += len(value)
        if self._taken * 2 >= _WINDOW or self._taken_bytes * 2 >= _WINDOW_BYTES:
            with self._lock:
                self._left += self._taken
                self._left_bytes += self._taken_bytes
            credit = _message.credit(self._head, self._taken, self._taken_bytes)
            self._taken = self._taken_bytes = 0
            self._connection.post(credit)
        return value

    @property
    def input_over(self) -> bool:
        """Whether no more values will come than there are."""
        return self._input_over and not self._values

    # The host's side.

    def grant(self, values: int, size: int) -> None:
        """Take credit."""
        with self._lock:
            self._credit += values
            self._credit_bytes += size
        self.room.set()

    def put(self, value: bytes | memoryview, end: bool) -> None:
        """Take a value, or their end. One that has no credit is the host's violation."""
        if self._input_over:
            return  # the task has ended, or this is no session
        if end:
            self._input_over = True
        else:
            with self._lock:
                if self._left <= 0 or self._left_bytes <= 0:
                    text = f"call {self.call.seq} was sent a value for which it gave no credit"
                    raise Refused("INVALID_ARGUMENT", text)
                self._left -= 1
                self._left_bytes -= len(value)
            self._values.append(value)
        self.ready.set()

    def wake(self) -> None:
        """Wake the task: its call was given up, or the host is gone."""
        self.room.set()
        self.ready.set()


class Received:
    """The iterator over the values that a session in the main thread receives."""

    def __init__(self, port: Port[Wake]) -> None:
        self._port = port

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        port = self._port
        call = port.call
        with call.connection.interrupter:
            encoded = self._next()
        if encoded is None:
            raise StopIteration
        return call.task.decode_received(call.codec, encoded)

    def _next(self) -> bytes | memoryview | None:
        """Return the next value, None if there are no more. Blocks."""
        port = self._port
        call = port.call
        while not call.cancelled and not call.over:
            # In this order: the end comes behind the values.
            over = port.input_over
            if (encoded := port.take()) is not None:
                return encoded
            if over:
                return None
            port.flush()
            call.connection.waits.enter(call)
            port.ready.wait()
            call.connection.waits.leave(call)
        raise Cancelled


def run(call: Call, port: Port[Wake], argument: Any, takes_input: bool) -> None:
    """Run a stream or a session whose function is an ordinary generator function."""
    task, interrupter = call.task, call.connection.interrupter
    arguments = (argument, Received(port)) if takes_input else (argument,)
    values = iter(interrupter.run(call, task.function, *arguments))
    step: Any = values.__next__
    with_what: tuple[Any, ...] = ()
    try:
        while True:
            try:
                value = interrupter.run(call, step, *with_what)
            except StopIteration:
                return
            except Cancelled as cancelled:
                if getattr(values, "gi_frame", None) is None:
                    raise
                # It came at the border: the task is to see it.
                step, with_what = values.throw, (cancelled,)
                continue
            step, with_what = values.__next__, ()
            try:
                encoded = task.encode(call.codec, value)
                if not port.may_send:
                    _await_credit(port)
                port.send(encoded)
            except (Cancelled, Exception) as failure:
                # It fails where it is sent, so that the task may clean up, or go on.
                if not hasattr(values, "throw"):
                    raise
                step, with_what = values.throw, (failure,)
    finally:
        if hasattr(values, "close"):
            values.close()


def _await_credit(port: Port[Wake]) -> None:
    call = port.call
    port.flush()
    call.connection.waits.enter(call)
    while not port.may_send and not call.cancelled and not call.connection.closed:
        port.room.wait()
    call.connection.waits.leave(call)
