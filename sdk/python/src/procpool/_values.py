"""The values of a nested stream."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from . import _codec, _errors, _failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ._runtime import HostAnswer, HostRequest, RunningCall
    from ._shape import Shape

T = TypeVar("T")

# How far the stream may run ahead of who reads it.
_WINDOW, _WINDOW_BYTES = 1024, 1 << 20


class Values(Generic[T]):
    """The values of a nested stream, for one loop: ``for`` or, in an async task, ``async for``.

    They come while the loop runs, at most a window ahead of it. An error of the stream is
    raised behind the values that had come. Leaving the loop gives the stream up, as close
    does, and the end of the call that has made it. While the loop waits the call's run time
    stands still.

    What is shared with the machinery's own thread has no lock that a cancellation could
    leave locked.
    """

    def __init__(self, call: RunningCall, request: HostRequest, shape: Shape) -> None:
        request = request._replace(credit=_WINDOW, credit_bytes=_WINDOW_BYTES)
        self._call, self._request, self._shape = call, request, shape
        self._arrived: deque[bytes | memoryview] = deque()
        self._taken = self._taken_bytes = 0  # since credit was given last
        self._error: _errors.Error | None = None
        self._over = False
        self._news = threading.Lock()  # locked while there are none
        self._news.acquire()
        self._wake_loop: Callable[[], object] | None = None
        self._stream = call.stream_host(request, self._put, self._end)

    def close(self) -> None:
        """Give the stream up, unless it has ended. Does not block."""
        if not self._over:
            self._stream.cancel()
        self._over = True
        self._arrived.clear()

    def __iter__(self) -> Iterator[T]:
        try:
            while self._more():
                if self._arrived:
                    yield self._take()
                else:
                    with self._call.waiting():
                        self._news.acquire()
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[T]:
        import asyncio

        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        self._wake_loop = lambda: loop.call_soon_threadsafe(news.set)
        try:
            while self._more():
                if self._arrived:
                    yield self._take()
                    continue
                with self._call.waiting():
                    await news.wait()
                news.clear()
        finally:
            self._wake_loop = None
            self.close()

    def _more(self) -> bool:
        """Tell whether there are or may come more values; raises the stream's error."""
        # In this order: the end comes behind the values.
        if not self._over or self._arrived:
            return True
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return False

    def _take(self) -> T:
        encoded = self._arrived.popleft()
        self._taken += 1
        self._taken_bytes += len(encoded)
        if self._taken * 2 >= _WINDOW or self._taken_bytes * 2 >= _WINDOW_BYTES:
            self._stream.grant(self._taken, self._taken_bytes)
            self._taken = self._taken_bytes = 0
        request = self._request
        try:
            value: T = _codec.decode(request.codec, encoded, self._shape, "decode a value")
        except _failure.CodecFailure as failure:
            raise _failure.codec_error(failure, request.name) from failure.__cause__
        return value

    # On a thread of the machinery.

    def _put(self, encoded: bytes | memoryview) -> None:
        self._arrived.append(encoded)
        self._notify()

    def _end(self, answer: HostAnswer) -> None:
        if answer.failure is not None and not self._over:
            self._error = _failure.to_exception(answer.failure, self._request.name)
        self._over = True
        self._notify()

    def _notify(self) -> None:
        with contextlib.suppress(RuntimeError):  # nobody has taken note of the last news
            self._news.release()
        wake = self._wake_loop
        if wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                wake()

    def __repr__(self) -> str:
        return f"<procpool values of {self._request.name!r}>"
