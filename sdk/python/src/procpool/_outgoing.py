"""What waits to be sent on a stream, and what of it the kernel has."""

from __future__ import annotations

from collections import deque
from threading import Lock, RLock
from typing import TYPE_CHECKING

from . import _message

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._message import Piece
    from ._runtime import Payload

_MESSAGE_BYTES = 128 << 10  # small elements share a message up to about that size


class Outgoing:
    """Elements in the order in which they are to be sent; one message at a time is under way.

    Each element has a number, counted from 1. Any thread may call the methods, and so may
    what interrupts one of them in its own thread: a __del__, which Python calls wherever it
    happens to collect garbage, or a handler of a signal, that writes to the log.
    """

    def __init__(self, message_bytes: int = _MESSAGE_BYTES) -> None:
        """Make one whose elements share a message up to that many bytes."""
        self._message_bytes = message_bytes
        self._send: Callable[[bytes], None] | None = None  # until the stream is open
        self._advance: Callable[[], None] = lambda: None
        self._lock = RLock()  # its owner may come by here again
        self._waiting: deque[tuple[bool, int, Payload]] = deque()
        self._busy = False
        self._closed = False
        self._sleepers: list[Lock] = []
        self.put_last = 0  # the number of the last element that was put
        self.covered = 0  # of the last one that is in a message
        self.written = 0  # of the last one that the kernel has

    def open(self, send: Callable[[bytes], None], advance: Callable[[], None]) -> None:
        """Take note of the stream, and send what waits.

        send starts to send a message and does not block; sent is to be called when the
        kernel has it. advance does what has come meanwhile, without blocking.
        """
        with self._lock:
            self._send, self._advance = send, advance
            self._next()

    def put(self, element: Payload, outcome: bool = False) -> int:
        """Append an element without sending it, and return its number."""
        entry = outcome, _message.size_of(element), element
        with self._lock:
            # Nothing comes between these two: it could only behind a call.
            self.put_last = number = self.put_last + 1
            self._waiting.append(entry)
            return number

    def push(self) -> None:
        """Send what waits now, or when the message before it has gone. Does not block."""
        if self._busy:
            self._advance()
        with self._lock:
            if not self._busy:
                self._next()

    def post(self, element: Payload) -> int:
        """Append an element and send it. Does not block."""
        number = self.put(element)
        self.push()
        return number

    def sent(self) -> None:
        """Take note that the kernel has the message that was under way."""
        with self._lock:
            self._busy = False
            self.written = self.covered
            self._next()
            self._wake()

    def close(self) -> None:
        """Take note that nothing will be sent any more."""
        with self._lock:
            self._closed = True
            self._wake()

    def await_covered(self, number: int) -> None:
        """Block until the element is in a message that the library has, or the host is gone."""
        while self.covered < number and not self._closed:
            self.push()
            self._sleep(lambda: self.covered >= number)

    def await_written(self, number: int) -> None:
        """Block until the kernel has the element, or the host is gone."""
        while self.written < number and not self._closed:
            self.push()
            self._sleep(lambda: self.written >= number)

    def _sleep(self, reached: Callable[[], bool]) -> None:
        """Block until a message has gone, unless that is not needed any more."""
        wake = Lock()
        wake.acquire()
        with self._lock:
            if reached() or self._closed or not self._busy:
                return
            self._sleepers.append(wake)
        wake.acquire()

    def _wake(self) -> None:
        while self._sleepers:
            self._sleepers.pop().release()

    def _next(self) -> None:
        """Send the next message, if anything waits. The lock is held."""
        waiting = self._waiting
        if not waiting or self._closed or self._send is None:
            return
        self._busy = True  # first, so that what is put meanwhile does not get ahead
        pieces: list[Piece] = []
        total = 0
        outcomes = False
        while waiting:
            outcome, size, element = waiting[0]
            # The host takes the outcomes of a message last: so what another call has sent
            # behind one must not be in the same.
            if pieces and (total + size > self._message_bytes or (outcomes and not outcome)):
                break
            waiting.popleft()
            self.covered += 1
            total += size
            outcomes = outcome
            if isinstance(element, bytes):
                pieces.append(element)
            else:
                pieces.extend(element)
        self._send(_message.join(pieces))
