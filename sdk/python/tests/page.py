"""The host's side of the flight recorder: a page that outlives the worker."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING

from procpool._gen import worker_pb2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NO_FENCE = 2**64 - 1
_HEADER = struct.Struct("=8sIIIIQQ88x")
_LANE_BYTES = 128
_JOURNAL_BYTES = 65536
_FIELDS = ("started", "started_at", "finished", "fence", "journal_len", "waiting_since")


class Page:
    """A recorder page as docs/protocol.md lays it out."""

    def __init__(self, lanes: int, directory: Path) -> None:
        self.lanes = lanes
        self.journal_offset = -(-(128 + _LANE_BYTES * lanes) // 4096) * 4096
        size = self.journal_offset + _JOURNAL_BYTES * lanes
        if hasattr(os, "memfd_create"):
            self._fd = os.memfd_create("recorder", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            self.path = f"/proc/{os.getpid()}/fd/{self._fd}"
            os.ftruncate(self._fd, size)
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        else:
            self.path = str(directory / "recorder")
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.ftruncate(self._fd, size)
        self.map = mmap.mmap(self._fd, size)
        self._words = memoryview(self.map).cast("Q")
        self.map[:128] = _HEADER.pack(
            b"procpool", 1, lanes, 128, _LANE_BYTES, self.journal_offset, _JOURNAL_BYTES
        )
        for lane in range(lanes):
            self.set_fence(NO_FENCE, lane)

    def _word(self, field: str, lane: int) -> int:
        return (128 + _LANE_BYTES * lane) // 8 + _FIELDS.index(field)

    def read(self, field: str, lane: int = 0) -> int:
        """Read a field of a lane, such as "started"."""
        return self._words[self._word(field, lane)]

    def set_fence(self, seq: int, lane: int = 0) -> None:
        """Have calls beyond seq not start."""
        self._words[self._word("fence", lane)] = seq

    def take_back(self, seq: int, lane: int = 0) -> int:
        """Raise the fence behind seq; return the last call that the worker may run."""
        self.set_fence(seq, lane)
        # A system call is the barrier here: it is one on the systems that this runs on.
        os.stat("/")
        return max(seq, self.read("started", lane))

    def journal(self, lane: int = 0) -> list[worker_pb2.Outcome]:
        """Parse what the journal holds."""
        length = self.read("journal_len", lane)
        assert length <= _JOURNAL_BYTES, f"journal_len is {length}"
        start = self.journal_offset + _JOURNAL_BYTES * lane
        response = worker_pb2.WorkResponse.FromString(self.map[start : start + length])
        kinds = {field.name for field, _ in response.ListFields()}
        assert kinds <= {"outcomes"}, f"the journal holds {kinds}"
        return list(response.outcomes)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
        """Wait until the page shows something; AssertionError when it does not."""
        end = time.monotonic() + timeout
        while not condition():
            state = {f: self.read(f) for f in _FIELDS}
            assert time.monotonic() < end, f"{what} did not come about; lane 0 is {state}"
            time.sleep(0.001)

    def close(self) -> None:
        """Unmap the page and close its file."""
        self._words.release()
        self.map.close()
        os.close(self._fd)
