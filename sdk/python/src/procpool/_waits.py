"""Run time that stands still, as the recorder tells the host."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from . import _cancel
from ._recorder import now

if TYPE_CHECKING:
    from types import TracebackType

    from ._call import Call
    from ._lane import Lane

_cancel.keeps_out.add(__name__)


class Waits:
    """Notes when the running call waits: for credit, for input, for calls that it has made.

    Several threads of a call may wait at once. The first to begin and the last to go on
    count; those that still wait when the call ends are forgotten.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._lock = Lock()
        self._count = 0

    def of(self, call: Call) -> _Wait:
        """Return what has the run time of the call stand still while it is entered."""
        return _Wait(self, call)

    def enter(self, call: Call) -> None:
        """Take note that a thread of the call waits from now on."""
        with self._lock:
            # Counted first: the lane takes the call away first and looks at the count then,
            # so that one of the two sees the other.
            self._count += 1
            if self._lane.current is not call:
                self._count -= 1
            elif self._count == 1 and self._lane.record is not None:
                self._lane.record.pause(now())

    def leave(self, call: Call) -> None:
        """Take note that it goes on."""
        with self._lock:
            if self._lane.current is not call or not self._count:
                return
            self._count -= 1
            if not self._count and self._lane.record is not None:
                self._lane.record.resume(now())

    def ended(self) -> None:
        """Forget those who wait in a call that is not the lane's current one any more."""
        if not self._count:
            return
        with self._lock:
            if self._count and self._lane.record is not None:
                self._lane.record.resume(now())
            self._count = 0


class _Wait:
    def __init__(self, waits: Waits, call: Call) -> None:
        self._waits, self._call = waits, call

    def __enter__(self) -> None:
        try:
            with self._call.connection.interrupter:
                self._waits.enter(self._call)
        except BaseException:  # Cancelled, at its end: the block is not entered
            with self._call.connection.interrupter:
                self._waits.leave(self._call)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._call.connection.interrupter:
            self._waits.leave(self._call)
