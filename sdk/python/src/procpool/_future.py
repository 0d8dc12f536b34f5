"""The future of a nested call."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _codec, _errors, _failure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._runtime import HostAnswer, HostRequest, RunningCall
    from ._shape import Shape

T = TypeVar("T")


class Future(Generic[T]):
    """The result of a nested call, when it is there. Also to be awaited.

    Its methods may be called from any thread. While a task waits in result, exception
    or an await its run time stands still, and another call may take its place.

    It has no lock that a cancellation could leave locked: the machinery's own thread
    resolves it, and must not be held up by that.
    """

    def __init__(self, call: RunningCall, request: HostRequest, shape: Shape) -> None:
        self._call, self._request, self._shape = call, request, shape
        self._open = [True]  # who takes it out resolves the future
        self._encoded: bytes | memoryview | None = None  # until somebody asks for the result
        self._value: T | None = None
        self._error: BaseException | None = None
        self._done = False
        self._callbacks: list[Callable[[Future[T]], object]] = []
        self._answered = threading.Lock()  # locked until it is done
        self._answered.acquire()
        self._give_up = call.call_host(request, self._answer)

    def done(self) -> bool:
        """Tell whether the call has ended, in whatever way."""
        return self._done

    def cancel(self) -> bool:
        """Give the call up; True if that was what ended it."""
        name = self._request.called
        ended = self._resolve(
            _errors.CancelledError(f"the call of task {name!r} was given up", name)
        )
        if ended:
            self._give_up()
        return ended

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result and return it, or raise the call's error.

        The errors are those of this package, from TaskError to CrashError. timeout, in
        seconds, bounds the wait only: the builtin TimeoutError says that it was over.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self._value  # type: ignore[return-value]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call's end and return its error, None if it has succeeded."""
        if not self._done:
            with self._call.waiting():
                self._wait(timeout)
        encoded = self._encoded
        if encoded is not None:
            self._decode(encoded)
            self._encoded = None
        return self._error

    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Have the callback called when the call has ended, at once if it has.

        It is called from whatever thread and must not block.
        """
        self._callbacks.append(callback)
        if self._done:
            self._call_back()

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the result without holding up the event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        def on_done(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(wake)

        if not self._done:
            self.add_done_callback(on_done)
            with self._call.waiting():
                try:
                    yield from woken
                except asyncio.CancelledError:
                    self.cancel()
                    raise
        return self.result()

    def _wait(self, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._done:
            left = -1.0 if end is None else max(end - time.monotonic(), 0)
            if self._answered.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
                self._answered.release()  # for the next who waits
            elif not self._done:
                raise TimeoutError(f"task {self._request.called!r} is not done yet")

    def _decode(self, encoded: bytes | memoryview) -> None:
        request = self._request
        try:
            self._value = _codec.decode(request.codec, encoded, self._shape, "decode the result")
        except _failure.CodecFailure as failure:
            self._error = _failure.codec_error(failure, request.called)

    def _answer(self, answer: HostAnswer) -> None:
        """Take the host's answer, on a thread of the machinery."""
        if answer.failure is not None:
            self._resolve(_failure.to_exception(answer.failure, self._request.called))
        else:
            self._resolve(answer.result)

    def _resolve(self, outcome: bytes | memoryview | _errors.Error) -> bool:
        """End the call; False if it has ended already."""
        try:
            self._open.pop()
        except IndexError:
            return False
        if isinstance(outcome, _errors.Error):
            self._error = outcome
        else:
            self._encoded = outcome
        self._done = True
        self._answered.release()
        self._call_back()
        return True

    def _call_back(self) -> None:
        """Call what waits for the end: each callback once, whoever comes first."""
        while self._callbacks:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:
                return
            try:
                callback(self)
            except Exception:
                logging.getLogger("procpool").exception("a callback of %r failed", self)

    def __repr__(self) -> str:
        state = "done" if self._done else "not done"
        return f"<procpool future of {self._request.called!r}, {state}>"
