"""A socket between a worker and its host that sees all that the kernel has of the worker."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from host import DEADLINE

from procpool._gen import worker_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from host import Worker


class Relay:
    """Hands on what a worker sends, and keeps it.

    gRPC's client drops what it has not read yet when the connection breaks, so it can't tell
    what a worker that died had sent. To be made before Hello.
    """

    def __init__(self, worker: Worker) -> None:
        assert worker._handshake is not None
        self._worker = worker
        self._to = worker._handshake.decode()
        self._sent = bytearray()
        path = str(worker.directory / "relay")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        worker._handshake = path.encode()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def outcomes(self) -> dict[int, worker_pb2.Outcome]:
        """Return the outcomes that a worker that is dead has sent, by number."""
        self._worker.wait_death()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        found = {}
        for data in _messages(_data_of_streams(bytes(self._sent)).get(3, b"")):
            for outcome in worker_pb2.WorkResponse.FromString(data).outcomes:
                found[outcome.seq] = outcome
        return found

    def _run(self) -> None:
        host, _ = self._listener.accept()
        self._listener.close()
        worker = socket.socket(socket.AF_UNIX)
        worker.connect(self._to)
        back = threading.Thread(target=_copy, args=(host, worker), name="relay back", daemon=True)
        back.start()
        _copy(worker, host, self._sent)
        back.join()
        host.close()
        worker.close()


def _copy(source: socket.socket, target: socket.socket, kept: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            if kept is not None:
                kept += data
            # What is not taken any more is read all the same.
            with contextlib.suppress(OSError):
                target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _data_of_streams(sent: bytes) -> dict[int, bytes]:
    """Return what the HTTP/2 frames of type DATA hold, by stream. Hello is 1, Work is 3."""
    streams: dict[int, bytes] = {}
    at = 0
    while at + 9 <= len(sent):
        size, kind = int.from_bytes(sent[at : at + 3], "big"), sent[at + 3]
        stream = int.from_bytes(sent[at + 5 : at + 9], "big")
        if kind == 0:
            streams[stream] = streams.get(stream, b"") + sent[at + 9 : at + 9 + size]
        at += 9 + size
    return streams


def _messages(data: bytes) -> Iterator[bytes]:
    """Yield the whole messages of a stream, which gRPC puts 5 bytes in front of."""
    at = 0
    while at + 5 <= len(data):
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
        if end > len(data):
            return
        yield data[at + 5 : end]
        at = end
