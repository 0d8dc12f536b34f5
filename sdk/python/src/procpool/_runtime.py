"""The seam between what a task's author sees and what runs the calls.

Modules of the interface (tasks, context, futures, logging) know the machinery only
by the protocols of this module, and the machinery is found through the variables at
its end.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from ._gen import worker_pb2
    from ._task import Task

# An encoded value: bytes, or pieces of it that belong back to back, where joining them
# would cost a copy of something large. Each piece has one dimension of single bytes.
Payload = Union[bytes, "tuple[bytes | bytearray | memoryview, ...]"]


class Cancelled(BaseException):
    """Raised in a task whose call was given up.

    It comes from wherever the task is. Clean up and let it pass: a task that goes on
    has its process killed after a grace period (a second by default). It is no
    ``Exception``, so that ``except Exception`` does not swallow it.
    """


class HostRequest(NamedTuple):
    """A call that a running call makes of its own pool: what a HostCall says."""

    name: str
    codec: str
    argument: Payload
    kind: str = "function"  # or "stream", "actor", "shared"
    run_limit: float | None = None  # seconds that it may run
    metadata: Mapping[str, str] = {}
    key: str = ""
    priority: int = 0
    credit: int = 0  # of a stream: how many values may come at first
    credit_bytes: int = 0
    actor: int = 0  # of an actor: its number, 0 to make one
    method: str = ""  # empty to make it or to end it
    shared: bool = False  # to make one: whether it may share its process
    restarts: int = 0  # and how often it may be opened anew

    @property
    def called(self) -> str:
        """What is called, for people."""
        return f"{self.name}.{self.method}" if self.method else self.name


class HostStream(Protocol):
    """A stream that a running call has called."""

    def cancel(self) -> None:
        """Give it up."""

    def grant(self, values: int, size: int) -> None:
        """Let that many values more come, of that many bytes. Does not block."""


class HostAnswer(NamedTuple):
    """How such a call ended: with a result, or, if failure is set, without."""

    result: bytes | memoryview = b""
    failure: worker_pb2.Failure | None = None
    actor: int = 0  # the number of one that was made


class Shield(Protocol):
    """Puts Cancelled off to the end of a with block. Nests; for other threads it does nothing."""

    def __enter__(self) -> None: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def hand_over(self) -> None:
        """Have it not raised before what is returned now is where it was asked for."""


class RunningCall(Protocol):
    """A call while it runs. All may be used from any thread, also after it has ended."""

    @property
    def task(self) -> Task: ...
    @property
    def lane(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def attempt(self) -> int:
        """Which run of the call it is, counted from 1."""

    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def deadline(self) -> float | None:
        """When the caller's time is over, by time.monotonic()."""

    @property
    def cancelled(self) -> bool:
        """Whether the call was given up."""

    def progress(self, done: float, total: float, message: str) -> None:
        """Tell how far the call has come. Limits its own rate; does not block."""

    def log(self, level: int, message: str, fields: Mapping[str, str], time_ns: int) -> None:
        """Send a Log of this call. level is a LogLevel. Does not block."""

    def call_host(
        self, request: HostRequest, done: Callable[[HostAnswer], None]
    ) -> Callable[[], None]:
        """Make a call of the pool; the function that is returned gives it up.

        done is called exactly once, from any thread, and must not block or raise. It may
        be called before call_host returns. Where the host takes no nested calls, the
        answer is a failure, too. When this call ends the answer is one of a call that was
        given up.
        """

    def stream_host(
        self,
        request: HostRequest,
        put: Callable[[bytes | memoryview], None],
        done: Callable[[HostAnswer], None],
    ) -> HostStream:
        """Call a stream of the pool.

        put is called with each value, in their order, and done behind the last, as in
        call_host.
        """

    def tell_host(self, request: HostRequest) -> None:
        """Make a call of kind "shared" of which nobody learns the outcome. Does not block."""

    def waiting(self) -> AbstractContextManager[Any]:
        """Have the run time stand still in the with block. Nests; any thread."""

    @property
    def shield(self) -> Shield:
        """What puts Cancelled off."""


class Host(Protocol):
    """What a worker process is connected to, whether or not a call runs."""

    @property
    def log_level(self) -> int:
        """The least LogLevel that is wanted; 0 for none."""

    def log(self, level: int, message: str, fields: Mapping[str, str], time_ns: int) -> None:
        """Send a Log that no call has written. Does not block."""


# The call that the code runs for. Set around user code; asyncio hands it on to what a
# task starts, and contextvars.copy_context to threads that want it.
current_call: ContextVar[RunningCall | None] = ContextVar("procpool.current_call", default=None)


class _Process:
    """What this process is connected to: None until Hello, and in programs that are no worker."""

    host: Host | None = None


process = _Process()
