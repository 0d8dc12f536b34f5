"""The connection to the host: Hello, and the messages of Work and Control, in and out."""

from __future__ import annotations

import contextlib
import os
import sys
from math import inf
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from . import _message, _process, _request
from ._hostcall import HostCalls
from ._outgoing import Outgoing
from ._recorder import Recorder, Unusable, full_barrier
from ._runtime import process
from ._timer import Timer
from ._transport import Refused
from ._waits import Waits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._cancel import Interrupter
    from ._lane import Lane
    from ._task import Task
    from ._transport import Receiver, Transport

_CAPABILITIES = (
    *("pack", "stream", "session", "actor"),
    *("host_call", "shared_state", "progress", "log"),
)
_WITH_RECORDER = ("recorder", "fence", "journal")
# When, in seconds behind Hello, what most calls don't need is imported.
_WARM_UP = 0.2


class Offers(NamedTuple):
    """What the host has and calls may use."""

    host_call: bool = False
    actor: bool = False  # and calls of actors are among them
    shared_state: bool = False
    progress: bool = False
    log_level: int = 0  # the least that it wants, 0 for none


class Connection:
    """The one connection that a worker has. It is what a transport serves (a Service)."""

    def __init__(
        self,
        tasks: Sequence[Task],
        lane: Lane,
        interrupter: Interrupter,
        timer: Timer,
        recorder_path: str,
        leave: Callable[[], None],
    ) -> None:
        """Make one that calls leave, from any thread, when the host is gone."""
        self.tasks = tasks
        self.interrupter = interrupter
        self.offers = Offers()
        self.max_payload = 0  # 0 for no limit
        self.closed = False
        # Of what threads of a call report. Who sends may have to take what has come, too, and
        # so come by here again.
        self.call_lock = RLock()
        self.timer = timer
        self.waits = Waits(lane)
        self.host_calls = HostCalls(self)
        self.outgoing = Outgoing()
        self._lane = lane
        self._recorder_path = recorder_path
        self._leave = leave
        self._transport: Transport
        self._path = ""
        self._greeted = self._working = False
        self._push_at = inf  # when what waits is sent at the latest, by monotonic

    def serve(self, transport: Transport, path: str) -> None:
        """Take note of the transport that serves this, and of the path at which it listens."""
        self._transport, self._path = transport, path

    def forked(self) -> None:
        """Take note that this process is a child of the worker: the connection is not its own.

        Locks may have been held by threads that it has not.
        """
        self.closed = True
        self.offers = Offers()
        self.outgoing = Outgoing()
        self.outgoing.close()
        self.call_lock = RLock()
        self.timer = Timer(_process.guard)
        self.waits = Waits(self._lane)
        self.host_calls = HostCalls(self)

    # What the lane and its call send.

    def post(self, element: bytes) -> None:
        """Send an element. Does not block."""
        self.outgoing.post(element)

    def push_later(self, delay: float) -> None:
        """Send what waits in that many seconds at the latest. Does not block."""
        at = monotonic() + delay
        if at < self._push_at:
            self._push_at = at
            self.timer.call_later(delay, self._push_late)

    def _push_late(self) -> None:
        self._push_at = inf
        self.outgoing.push()

    @property
    def log_level(self) -> int:
        """The least LogLevel that the host wants; 0 for none."""
        return self.offers.log_level

    def log(self, level: int, message: str, fields: Mapping[str, str], time_ns: int) -> None:
        """Send a Log that no call has written."""
        with self.interrupter:
            self.log_line(level, message, fields, time_ns, 0)

    def log_line(
        self, level: int, message: str, fields: Mapping[str, str], time_ns: int, seq: int
    ) -> None:
        """Send a Log, if the host wants it."""
        if 0 < self.offers.log_level <= level:
            from . import _rare

            self.post(_rare.log(level, message, fields, time_ns, seq))

    # What the transport has to say.

    def hello(self, data: bytes) -> bytes:
        """Answer Hello."""
        if self._greeted:
            raise Refused("FAILED_PRECONDITION", "Hello was said before; a worker has one host")
        request = _request.parse_hello(data)
        capabilities: tuple[str, ...] = _CAPABILITIES
        record = None
        # Without a recorder the worker gets one call at a time.
        barrier = full_barrier() if request.recorder and self._recorder_path else None
        if barrier is not None:
            try:
                record = Recorder(self._recorder_path, barrier).lane(0)
            except Unusable as error:
                sys.stderr.write(f"procpool: no flight recorder in this worker: {error}\n")
            else:
                capabilities += _WITH_RECORDER
        self.offers = Offers(
            host_call="host_call" in request.capabilities,
            actor="actor" in request.capabilities,
            shared_state="shared_state" in request.capabilities,
            progress="progress" in request.capabilities,
            log_level=request.log_level if "log" in request.capabilities else 0,
        )
        self.max_payload = request.max_payload
        recorded = record is not None
        response = _message.hello(self.tasks, _version(), capabilities, os.getpid(), recorded)
        self._lane.begin(self, record)
        self._greeted = True
        # gRPC goes on to listen, but nobody else is to come.
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        process.host = self
        self.timer.call_later(_WARM_UP, _warm_up)
        return response

    def open(self, stream: str, send: Callable[[bytes], None]) -> Receiver:
        """Open Work or Control."""
        if not self._greeted:
            raise Refused("FAILED_PRECONDITION", "the first call on a connection is Hello")
        if stream == "Control":
            outgoing = Outgoing(message_bytes=0)
            outgoing.open(send, self._transport.advance)
            return _Control(self._lane, outgoing)
        if self._working:
            raise Refused("FAILED_PRECONDITION", "the work stream is open already")
        self._working = True
        self.outgoing.open(send, self._transport.advance)
        return _Work(self, self._lane)

    def end(self) -> None:
        """Take note that the host is gone, or wants the worker to leave."""
        self.closed = True
        self.outgoing.close()
        if (call := self._lane.current) is not None and call.port is not None:
            call.port.wake()
        self._leave()


class _Work:
    """What takes the messages of Work."""

    def __init__(self, connection: Connection, lane: Lane) -> None:
        self._connection, self._lane = connection, lane

    def received(self, data: bytes) -> None:
        try:
            request = _request.parse(data)
        except _request.Malformed as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from error
        if tasks := request.tasks:
            for task in tasks:
                if task.lane:
                    raise Refused("INVALID_ARGUMENT", f"lane {task.lane} is not open")
            self._lane.put(tasks, monotonic())
        for value in request.values:
            if value.host_call:
                self._connection.host_calls.value(value.host_call, value.payload)
            elif (port := self._lane.port(value.seq, value.host_call)) is not None:
                port.put(value.payload, value.end)
        for credit in request.credits:
            if (port := self._lane.port(credit.seq, credit.host_call)) is not None:
                port.grant(credit.values, credit.size)
        for reply in request.replies:
            self._connection.host_calls.replied(reply)

    def sent(self) -> None:
        self._connection.outgoing.sent()

    def ended(self) -> None:
        self._connection.end()


class _Control:
    """What takes the messages of Control."""

    def __init__(self, lane: Lane, outgoing: Outgoing) -> None:
        self._lane, self._outgoing = lane, outgoing

    def received(self, data: bytes) -> None:
        event, lane, number = _request.parse_control(data)
        if event == "cancel" and lane == 0:
            self._lane.cancel(number)
        elif event == "ping":
            self._outgoing.post(_message.pong(number, _memory_in_use()))
        # A drain needs nothing, and what is newer than this worker is not meant for it.

    def sent(self) -> None:
        self._outgoing.sent()

    def ended(self) -> None:
        self._outgoing.close()


def _version() -> str:
    from . import __version__

    return __version__


def _warm_up() -> None:
    from . import _rare  # noqa: F401


def _memory_in_use() -> int:
    """Return the resident memory in bytes, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
