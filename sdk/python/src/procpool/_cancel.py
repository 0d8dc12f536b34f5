"""Cancellation: an exception in the main thread, in the call that it is for and no other."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from threading import Lock, current_thread, get_ident, main_thread
from typing import TYPE_CHECKING, Any, TypeVar

from ._runtime import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from ._call import Call
    from ._timer import Timer

T = TypeVar("T")

# Its default is to be ignored, few programs use it, and it interrupts what blocks.
_SIGNAL = signal.SIGURG
# Modules in whose own code it is not raised, only in what that calls: what they have begun
# must not be left half done, or what they return be lost. They don't block by themselves.
# In asyncio's an event loop that a task runs would take it for the failure of a callback.
keeps_out: set[str] = {"asyncio.events"}
# After how many seconds it is sent again, at first and at most.
_AGAIN, _AGAIN_AT_MOST = 0.002, 0.05


class Interrupter:
    """Raises Cancelled where the main thread runs user code for a call that was given up.

    Another thread sets call.cancelled and then sends a signal, whose handler Python runs
    in the main thread between two of its steps. The handler raises only while `armed` is
    the very call, so a signal that comes late hits nothing. One that comes early finds
    nothing armed; but then the main thread, which arms first and looks at call.cancelled
    next, raises by itself. Each call is told once.

    It is not raised while a module is imported: many of those that are written in C can't be
    imported a second time, and every later call would miss it.

    A signal that comes when the main thread is about to block, with the interpreter already
    given up, is noted and interrupts nothing: so it is sent again until the call was told.
    """

    def __init__(self, timer: Timer) -> None:
        if current_thread() is not main_thread():
            raise RuntimeError("procpool: serve() has to be called in the main thread")
        self._timer = timer
        self._main = get_ident()
        self._armed: Call | None = None
        self._running: Call | None = None  # while the main thread is in run
        self._shields = 0
        self._handing_over = False
        signal.signal(_SIGNAL, self._handle)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._swallowed

    def run(self, call: Call, function: Callable[..., T], *arguments: Any) -> T:
        """Call the function in the main thread such that a Cancel interrupts it.

        Cancelled may also come when the function has returned, and its result is lost.
        """
        try:
            self._running = call
            self._handing_over = False
            self._armed = call
            if call.cancelled and not call.told:
                self._raise(call)
            return function(*arguments)
        finally:
            self._armed = None
            self._running = None

    def interrupt(self, call: Call) -> None:
        """Have Cancelled raised in a call whose cancelled is set. Any thread; does not block."""
        self._send(call, _AGAIN)

    def _send(self, call: Call, wait: float) -> None:
        if call.over:
            return
        if self._armed is call and not call.told:
            signal.pthread_kill(self._main, _SIGNAL)
        self._timer.call_later(wait, lambda: self._send(call, min(wait * 2, _AGAIN_AT_MOST)))

    def hand_over(self) -> None:
        """Have Cancelled not raised before what is returned now is where it was asked for.

        To be called by a module that keeps it out. The signal that comes first behind that
        may find the caller with the value in its hands and no name for it yet; when the next
        one comes it has gone on.
        """
        if get_ident() == self._main:
            self._handing_over = True

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        call = self._armed
        if call is None or not call.cancelled or call.told or self._shields:
            return
        if frame is not None:
            if frame.f_code in _KEEP_OUT or frame.f_globals.get("__name__") in keeps_out:
                return
            if _is_importing(frame):
                return
            if self._handing_over:
                self._handing_over = False
                return
        self._raise(call)

    def _raise(self, call: Call) -> None:
        call.told = True
        self._armed = None
        raise Cancelled

    def _swallowed(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Take what was raised where nothing can be raised, such as in a __del__."""
        call = self._running
        ours = isinstance(unraisable.exc_value, Cancelled) and get_ident() == self._main
        if not ours or call is None or not call.told:
            self._unraisable(unraisable)
            return
        # It is sent again as long as the call runs.
        call.told = False
        self._armed = call

    # As a context manager it keeps the exception out of a part of ours that user code
    # has called, until the end of the block. Only the main thread needs that.

    def __enter__(self) -> None:
        if get_ident() == self._main:
            self._shields += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if get_ident() == self._main:
            self._shields -= 1
            call = self._armed
            if call is None or not call.cancelled or call.told or self._shields:
                return
            if not _is_importing(sys._getframe()):
                self._raise(call)


# What sees to it that it is not raised has to come to its end, too.
_KEEP_OUT = {Interrupter.__enter__.__code__, Interrupter.hand_over.__code__}
# What runs wherever a module is imported, by whatever means.
_IMPORTER = "<frozen importlib._bootstrap>"


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether the frame is part of the import of a module that the call has begun."""
    while frame is not None and frame.f_code is not Interrupter.run.__code__:
        if frame.f_code.co_filename == _IMPORTER:
            return True
        frame = frame.f_back
    return False


class Wake:
    """What one thread waits for and others set. What was set before counts, once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Have the wait that runs, or the next one, return. Does not block."""
        with suppress(RuntimeError):  # it is set
            self._lock.release()

    def wait(self) -> None:
        """Block until it is set."""
        self._lock.acquire()
