"""The gRPC server on the worker's socket, on what grpcio's own server is built on.

grpcio's public server hands each event to a thread of a pool and each message through
two more; a round trip takes three times as long with it. This takes the events of
gRPC's core from its completion queue in one thread and starts to send in the thread that
has something to send. What it uses is not documented, but has been the same since
version 1.62 at least: where it does not fit, FITS is False or making one raises.

The core completes the sending of a message when the write that covers its last byte has
returned, so that it is known what the kernel has.
"""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

from ._lazy import put_off
from ._process import guard
from ._transport import OPTIONS, SERVICE, STREAMS, Receiver, Refused, Service

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    # A worker uses none of them, see _lazy.py.
    with put_off("asyncio", "grpc.aio", "inspect", "pkgutil", "socket"):
        from grpc._cython import cygrpc

    FITS = all(
        hasattr(cygrpc, name)
        for name in (
            "CompletionQueue",
            "ReceiveCloseOnServerOperation",
            "ReceiveMessageOperation",
            "SendInitialMetadataOperation",
            "SendMessageOperation",
            "SendStatusFromServerOperation",
            "Server",
        )
    )
except ImportError:
    FITS = False

# Numbers of gRPC's statuses.
_STATUS = {
    "OK": 0,
    "INVALID_ARGUMENT": 3,
    "FAILED_PRECONDITION": 9,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
}
_NO_FLAGS = 0
_NO_METADATA: tuple[()] = ()


class DirectTransport:
    """A transport on gRPC's core."""

    def __init__(self, path: str, service: Service) -> None:
        """Listen at the path. Raises what it may if grpcio does not fit after all."""
        self._service = service
        self._queue: Any = cygrpc.CompletionQueue()
        self._server: Any = cygrpc.Server(OPTIONS, False)
        self._server.register_completion_queue(self._queue)
        if not self._server.add_http2_port(b"unix:" + path.encode()):
            raise OSError(f"gRPC can't listen at {path}")
        self._methods: dict[bytes, Callable[[Any], None]] = {
            f"/{SERVICE}/Hello".encode(): self._hello
        }
        for name in STREAMS:
            self._methods[f"/{SERVICE}/{name}".encode()] = self._opener(name)
        self._server.start()
        self._request_call()
        run = guard("the thread of the connection", self._run)
        Thread(target=run, name="procpool-wire", daemon=True).start()

    def advance(self) -> None:
        """Do what has come meanwhile, without blocking."""
        while (event := self._queue.poll(0)).tag is not None:
            event.tag(event)

    def _run(self) -> None:
        # Each operation is started with what is to be called with its event.
        while True:
            event = self._queue.poll()
            event.tag(event)

    def _request_call(self) -> None:
        self._server.request_call(self._queue, self._queue, self._called)

    def _called(self, event: Any) -> None:
        self._request_call()
        method = event.call_details.method
        self._methods.get(method, _refuse_unknown)(event.call)

    def _hello(self, call: Any) -> None:
        def received(event: Any) -> None:
            message = event.batch_operations[0].message()
            try:
                if message is None:
                    raise Refused("INVALID_ARGUMENT", "there is no HelloRequest")
                response = self._service.hello(message)
            except Refused as refused:
                _refuse(call, refused)
                return
            operations = (
                cygrpc.SendInitialMetadataOperation(_NO_METADATA, _NO_FLAGS),
                cygrpc.SendMessageOperation(response, _NO_FLAGS),
                cygrpc.SendStatusFromServerOperation(_NO_METADATA, 0, b"", _NO_FLAGS),
                cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),
            )
            _start(call, operations, _ignore)

        _start(call, (cygrpc.ReceiveMessageOperation(_NO_FLAGS),), received)

    def _opener(self, name: str) -> Callable[[Any], None]:
        return lambda call: _Stream(call).open(self._service, name)


class _Stream:
    """A stream that the host has opened."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._receiver: Receiver
        self._refused = False  # then nothing can be sent, until the host ends the connection

    def open(self, service: Service, name: str) -> None:
        try:
            self._receiver = service.open(name, self._send)
        except Refused as refused:
            _refuse(self._call, refused)
            return
        metadata = cygrpc.SendInitialMetadataOperation(_NO_METADATA, _NO_FLAGS)
        _start(self._call, (metadata,), _ignore)
        _start(self._call, (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self._closed)
        self._receive()

    def _send(self, message: bytes) -> None:
        if self._refused:
            return
        _start(self._call, (cygrpc.SendMessageOperation(message, _NO_FLAGS),), self._sent)

    def _sent(self, event: Any) -> None:
        if event.success:
            self._receiver.sent()
        else:
            self._receiver.ended()

    def _receive(self) -> None:
        _start(self._call, (cygrpc.ReceiveMessageOperation(_NO_FLAGS),), self._received)

    def _received(self, event: Any) -> None:
        message = event.batch_operations[0].message()
        if message is None:
            self._receiver.ended()
            return
        try:
            self._receiver.received(message)
        except Refused as refused:
            self._refused = True
            _end(self._call, refused)
            return
        self._receive()

    def _closed(self, _event: Any) -> None:
        self._receiver.ended()


def _start(call: Any, operations: tuple[Any, ...], then: Callable[[Any], None]) -> None:
    error = call.start_server_batch(operations, then)
    if error:
        raise RuntimeError(f"gRPC's core has refused an operation: {error}")


def _ignore(_event: Any) -> None:
    pass


def _refuse(call: Any, refused: Refused) -> None:
    """End a call that nothing was sent in."""
    operations = (
        cygrpc.SendInitialMetadataOperation(_NO_METADATA, _NO_FLAGS),
        cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),
    )
    _start(call, operations, _ignore)
    _end(call, refused)


def _end(call: Any, refused: Refused) -> None:
    status, details = _STATUS[refused.status], refused.details.encode()
    operation = cygrpc.SendStatusFromServerOperation(_NO_METADATA, status, details, _NO_FLAGS)
    _start(call, (operation,), _ignore)


def _refuse_unknown(call: Any) -> None:
    _refuse(call, Refused("UNIMPLEMENTED", "a worker serves nothing of that name"))
