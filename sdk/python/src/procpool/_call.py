"""A call while it runs: what user code sees of it, through procpool.context()."""

from __future__ import annotations

from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ._connection import Connection
    from ._request import Task as Wire
    from ._runtime import HostAnswer, HostRequest, HostStream, Shield
    from ._streams import Port
    from ._task import Task

_REPORT_EVERY = 0.010
_NOTHING: Mapping[str, str] = MappingProxyType({})


class TooLarge(Exception):
    """A result or a value is over the host's limit."""

    def __init__(self, what: str, task: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} of task {task!r} has {size} bytes, and the host takes at most {limit} "
            "(MaxPayload)"
        )


class UnknownTask(Exception):
    """The call is not of what this worker serves."""


class Shared:
    """What the calls of one message's Task have in common: those of a pack, or the one."""

    def __init__(self, wire: Wire, task: Task | None, arrived: float) -> None:
        self.wire = wire
        self.task = task
        self.called_as = wire.called_as
        self.codec = wire.codec or (task.codecs[0] if task else "")
        self.metadata: Mapping[str, str] = wire.metadata or _NOTHING
        self.attempt = wire.attempt or 1
        timeout = wire.timeout_nanos
        self.deadline = arrived + timeout / 1e9 if timeout else None


class Call:
    """A running call (a RunningCall)."""

    # Most calls change none of these.
    cancelled = False  # it was given up
    told = False  # Cancelled was raised in it
    over = False
    port: Port[Any] | None = None
    on_cancel: Callable[[], object] | None = None  # of an async call
    _report: _Report | None = None
    _called: set[int] | None = None

    def __init__(self, connection: Connection, shared: Shared, seq: int) -> None:
        self.connection = connection
        self.seq = seq
        self._shared = shared

    @property
    def task(self) -> Task:
        """The task of which it is a call."""
        assert self._shared.task is not None, "no code of the user's runs for an unknown task"
        return self._shared.task

    @property
    def lane(self) -> int:
        """The lane: there is one."""
        return 0

    @property
    def codec(self) -> str:
        """The codec of the argument, the result and all values."""
        return self._shared.codec

    @property
    def attempt(self) -> int:
        """Which run of the call it is, counted from 1."""
        return self._shared.attempt

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the caller has attached."""
        return self._shared.metadata

    @property
    def deadline(self) -> float | None:
        """When the caller's time is over, by time.monotonic()."""
        return self._shared.deadline

    def cancel(self) -> None:
        """Give the call up. Called by the thread of the connection; does not block."""
        if self.cancelled:
            return
        self.cancelled = True
        if (port := self.port) is not None:
            port.wake()
        if (on_cancel := self.on_cancel) is not None:
            on_cancel()
        else:
            self.connection.interrupter.interrupt(self)

    def progress(self, done: float, total: float, message: str) -> None:
        """Tell how far the call has come."""
        connection = self.connection
        if not connection.offers.progress:
            return
        with connection.interrupter, connection.call_lock:
            if self.over:
                return
            report = self._report
            if report is None:
                report = self._report = _Report(self)
            report.take(float(done), float(total), message)

    def log(self, level: int, message: str, fields: Mapping[str, str], time_ns: int) -> None:
        """Send a line for the host's log."""
        connection = self.connection
        with connection.interrupter, connection.call_lock:
            if not self.over:
                connection.log_line(level, message, fields, time_ns, self.seq)

    def call_host(
        self, request: HostRequest, done: Callable[[HostAnswer], None]
    ) -> Callable[[], None]:
        """Make a call of the pool in which this one runs."""
        with self.connection.interrupter:
            return self.connection.host_calls.start(self, request, done).cancel

    def stream_host(
        self,
        request: HostRequest,
        put: Callable[[bytes | memoryview], None],
        done: Callable[[HostAnswer], None],
    ) -> HostStream:
        """Call a stream of the pool in which this one runs."""
        with self.connection.interrupter:
            return self.connection.host_calls.start(self, request, done, put)

    def tell_host(self, request: HostRequest) -> None:
        """Make a call of which nobody learns the outcome."""
        with self.connection.interrupter:
            self.connection.host_calls.tell(self, request)

    @property
    def nested(self) -> set[int]:
        """The numbers of the calls that it has made and that are not answered."""
        if self._called is None:
            self._called = set()
        return self._called

    def waiting(self) -> AbstractContextManager[Any]:
        """Have the run time stand still in the with block."""
        return self.connection.waits.of(self)

    @property
    def shield(self) -> Shield:
        """What puts Cancelled off."""
        return self.connection.interrupter

    def end(self) -> None:
        """Take note that the call has ended: send what it told last, give up what it called.

        What another thread of it does in this very moment may come behind its outcome,
        where the host drops or refuses it.
        """
        self.over = True
        if self._report is not None:
            with self.connection.call_lock:
                self._report.flush()
        if self._called is not None:
            self.connection.host_calls.end(self)


class _Report:
    """What a call tells of how far it has come. Guarded by the connection's call_lock."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._last: tuple[float, float, str] | None = None  # not sent yet
        self._sent = 0.0
        self._armed = False

    def take(self, done: float, total: float, message: str) -> None:
        self._last = done, total, message
        wait = self._sent + _REPORT_EVERY - monotonic()
        if wait <= 0:
            self.flush()
        elif not self._armed:
            self._armed = True
            self._call.connection.timer.call_later(wait, self._late)

    def _late(self) -> None:
        with self._call.connection.call_lock:
            self._armed = False
            if not self._call.over:
                self.flush()

    def flush(self) -> None:
        last, self._last = self._last, None
        if last is None:
            return
        from . import _rare

        self._sent = monotonic()
        self._call.connection.post(_rare.progress(self._call.seq, *last))
