"""A running call without a worker, for tests of what a task sees."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from procpool import _runtime, _task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from procpool._runtime import HostAnswer, HostRequest, HostStream, Shield


def _nothing(argument: object) -> object:
    return argument


class Call:
    """Notes what the task says. Calls of its pool are answered by the test."""

    def __init__(self, log_level: int = 1) -> None:
        self.task = _task.Task("function", "outer", _nothing)
        self.lane, self.seq, self.attempt = 0, 7, 2
        self.metadata: Mapping[str, str] = {"tenant": "a"}
        self.deadline: float | None = None
        self.cancelled = False
        self.log_level = log_level
        self.reports: list[tuple[float, float, str]] = []
        self.logs: list[tuple[int, str, dict[str, str], int]] = []
        self.requests: list[HostRequest] = []
        self.answers: list[Callable[[HostAnswer], None]] = []
        self.puts: list[Callable[[bytes | memoryview], None]] = []
        self.granted: list[tuple[int, int]] = []
        self.given_up: list[int] = []
        self.told: list[HostRequest] = []
        self.waits = 0
        self.waited = 0

    def progress(self, done: float, total: float, message: str) -> None:
        self.reports.append((done, total, message))

    def log(self, level: int, message: str, fields: Mapping[str, str], time_ns: int) -> None:
        self.logs.append((level, message, dict(fields), time_ns))

    def call_host(
        self, request: HostRequest, done: Callable[[HostAnswer], None]
    ) -> Callable[[], None]:
        number = len(self.requests)
        self.requests.append(request)
        self.answers.append(done)
        return lambda: self.given_up.append(number)

    def stream_host(
        self,
        request: HostRequest,
        put: Callable[[bytes | memoryview], None],
        done: Callable[[HostAnswer], None],
    ) -> HostStream:
        self.puts.append(put)
        return Stream(self, self.call_host(request, done))

    def tell_host(self, request: HostRequest) -> None:
        self.told.append(request)

    @property
    def shield(self) -> Shield:
        return NoShield()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        self.waits += 1
        self.waited += 1
        try:
            yield
        finally:
            self.waits -= 1

    @contextlib.contextmanager
    def running(self) -> Iterator[Call]:
        """Have this be the call that code runs for, in a worker."""
        token = _runtime.current_call.set(self)
        _runtime.process.host = self
        try:
            yield self
        finally:
            _runtime.process.host = None
            _runtime.current_call.reset(token)


class NoShield(contextlib.nullcontext[None]):
    """What puts Cancelled off where nobody raises it."""

    def hand_over(self) -> None:
        pass


class Stream:
    """A stream that the call has called."""

    def __init__(self, call: Call, give_up: Callable[[], None]) -> None:
        self._call, self.cancel = call, give_up

    def grant(self, values: int, size: int) -> None:
        self._call.granted.append((values, size))
