"""The flight recorder: a page of memory that outlives this process.

The host reads in it after a crash which calls had started and finished, and takes back
through it what it has sent ahead. docs/protocol.md has the layout and the rules.
"""

from __future__ import annotations

import os
import struct
import sys
from threading import Lock
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MAGIC, _VERSION = b"procpool", 1
_HEADER = struct.Struct("=8sIIIIQQ")  # and zeros up to _HEADER_SIZE
_HEADER_SIZE = _LANE_SIZE = 128
_JOURNAL_SIZE = 64 << 10
_ALIGN = 4096
_MAX_LANES = 4096
# The words of a lane.
_STARTED, _STARTED_AT, _FINISHED, _FENCE, _JOURNAL_LEN, _WAITING = range(6)


class Unusable(Exception):
    """There is no page that this process can keep."""


class LaneRecord:
    """One lane of the page. The thread that runs the lane's calls writes it, and no other.

    The words are written by memoryview items of 8 bytes, which are one store each.
    """

    def __init__(
        self, words: memoryview, first: int, journal: memoryview, barrier: Callable[[], object]
    ) -> None:
        self._words = words
        self._started = first + _STARTED
        self._started_at = first + _STARTED_AT
        self._finished = first + _FINISHED
        self._fence = first + _FENCE
        self._journal_len = first + _JOURNAL_LEN
        self._waiting = first + _WAITING
        self._journal = journal
        self._barrier = barrier
        self._last = 0  # the last call that was let through
        self.used = 0  # bytes of the journal

    def start(self, seq: int, now: int) -> bool:
        """Note that a call is about to run; return whether it may, or is to be declined."""
        words = self._words
        words[self._started_at] = now
        words[self._started] = seq
        self._barrier()
        if seq > words[self._fence]:
            words[self._started] = self._last
            return False
        self._last = seq
        return True

    def finish(self, seq: int) -> None:
        """Note that the call's function has returned. Its outcome is in the journal by now."""
        self._words[self._finished] = seq

    @property
    def room(self) -> int:
        """How many bytes the journal has left."""
        return _JOURNAL_SIZE - self.used

    def keep(self, outcome: bytes) -> bool:
        """Put an encoded outcome into the journal; return False if it does not fit."""
        used = self.used
        end = used + len(outcome)
        if end > _JOURNAL_SIZE:
            return False
        self._journal[used:end] = outcome
        self._words[self._journal_len] = self.used = end
        return True

    def empty(self) -> None:
        """Empty the journal. All that is in it has to be with the kernel."""
        self._words[self._journal_len] = self.used = 0

    def pause(self, now: int) -> None:
        """Note that the running call waits, which is no run time, from now on."""
        self._words[self._waiting] = now

    def resume(self, now: int) -> None:
        """Note that it goes on."""
        words = self._words
        words[self._started_at] += now - words[self._waiting]
        words[self._waiting] = 0


class Recorder:
    """The page."""

    def __init__(self, path: str, barrier: Callable[[], object]) -> None:
        """Open the page that the host has made; Unusable says why that can't be."""
        import mmap

        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                page = mmap.mmap(descriptor, 0)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise Unusable(f"the page can't be opened: {error}") from error
        view = memoryview(page)
        self.lanes = lanes = _lanes_of(view)
        if not lanes:
            raise Unusable(f"{path} is no flight recorder of version {_VERSION}")
        self._page = page  # for the life of the process
        words = view[: _journal_offset(lanes, 0)].cast("Q")
        self._records = []
        for lane in range(lanes):
            at = _journal_offset(lanes, lane)
            first = (_HEADER_SIZE + lane * _LANE_SIZE) // 8
            journal = view[at : at + _JOURNAL_SIZE]
            self._records.append(LaneRecord(words, first, journal, barrier))

    def lane(self, number: int) -> LaneRecord:
        """Return a lane."""
        return self._records[number]


def _journal_offset(lanes: int, lane: int) -> int:
    end = _HEADER_SIZE + lanes * _LANE_SIZE
    return (end + _ALIGN - 1) // _ALIGN * _ALIGN + lane * _JOURNAL_SIZE


def header(lanes: int) -> bytes:
    """Return how a page for that many lanes begins."""
    at = _journal_offset(lanes, 0)
    packed = _HEADER.pack(_MAGIC, _VERSION, lanes, _HEADER_SIZE, _LANE_SIZE, at, _JOURNAL_SIZE)
    return packed.ljust(_HEADER_SIZE, b"\0")


def page_size(lanes: int) -> int:
    """Return the size of a page for that many lanes."""
    return _journal_offset(lanes, lanes)


def _lanes_of(page: memoryview) -> int:
    """Return how many lanes a page has, 0 if it is none of ours."""
    if len(page) < _HEADER_SIZE:
        return 0
    lanes = int(_HEADER.unpack_from(page)[2])
    fits = 1 <= lanes <= _MAX_LANES and len(page) >= page_size(lanes)
    return lanes if fits and page[:_HEADER_SIZE] == header(lanes) else 0


def full_barrier() -> Callable[[], object] | None:
    """Return a function that is a full memory barrier for the thread that calls it.

    Behind it a load does not see less than what others had stored before they saw this
    thread's earlier stores. None where there is nothing of the kind.
    """
    if os.uname().machine in ("x86_64", "AMD64"):
        return _locked_instruction()
    if sys.platform == "linux":
        return _membarrier()
    return None


def _locked_instruction() -> Callable[[], object]:
    # Taking a lock that other threads may want takes an instruction of the LOCK kind on
    # x86 (sem_trywait has a LOCK CMPXCHG), and neither loads nor stores are reordered with
    # one, whatever memory they are to (Intel SDM 3A, "Loads and Stores Are Not Reordered
    # with Locked Instructions"). That costs a tenth of a system call, and no ctypes.
    lock = Lock()
    acquire, release = lock.acquire, lock.release

    def barrier() -> None:
        acquire(False)
        release()

    return barrier


def _membarrier() -> Callable[[], object] | None:
    # membarrier(2): GLOBAL_EXPEDITED is a full barrier on the calling thread and on all
    # threads of processes that have registered for it, which nobody needs to: the host's
    # side has a barrier of its own, and the manual's table has "smp_mb()" and
    # "membarrier()" as an ordered pair.
    import ctypes

    number = {"aarch64": 283, "riscv64": 283, "loongarch64": 283, "ppc64le": 365, "s390x": 356}
    call = number.get(os.uname().machine)
    if call is None:
        return None
    query, global_expedited = 0, 1 << 1
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    supported = syscall(call, query, 0, 0)
    if supported < 0 or not supported & global_expedited:
        return None

    def barrier() -> None:
        if syscall(call, global_expedited, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "membarrier")

    return barrier


def now() -> int:
    """Return the time in nanoseconds, by the clock that host and workers share."""
    return monotonic_ns()
