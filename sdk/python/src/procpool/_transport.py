"""The gRPC server on the worker's socket, by the public interface of grpcio.

_direct.py does the same with less waking up, by an interface that is not public. This
one is for versions of grpcio that it does not fit.
"""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SERVICE = "procpool.worker.v1.WorkerService"
STREAMS = ("Work", "Control")

_WINDOW = 16 << 20
# Arguments have a limit that the host keeps to, and tells only in Hello.
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.lookahead_bytes", _WINDOW),
    ("grpc.so_reuseport", 0),
)


class Refused(Exception):
    """A call of the service that is not answered, but ended with a status."""

    def __init__(self, status: str, details: str) -> None:
        super().__init__(details)
        self.status, self.details = status, details


class Receiver(Protocol):
    """What takes a stream's messages. It is called by one thread at a time."""

    def received(self, message: bytes) -> None:
        """Take a message; Refused ends the stream. Does not block."""

    def sent(self) -> None:
        """Take note that the kernel has the message that was sent last."""

    def ended(self) -> None:
        """Take note that the stream has ended."""


class Service(Protocol):
    """What a transport serves."""

    def hello(self, request: bytes) -> bytes:
        """Answer Hello, or raise Refused."""

    def open(self, stream: str, send: Callable[[bytes], None]) -> Receiver:
        """Open a stream, or raise Refused.

        send starts to send a message and does not block. It must not be called again
        before the receiver's sent was.
        """


class Transport(Protocol):
    """A server that listens as soon as it is made, and serves in threads of its own."""

    def advance(self) -> None:
        """Do what has come meanwhile, without blocking. May do nothing."""


class PublicTransport:
    """A transport made of what grpcio documents."""

    def __init__(self, path: str, service: Service) -> None:
        """Listen at the path."""
        from concurrent.futures import ThreadPoolExecutor

        import grpc

        self._grpc = grpc
        self._service = service
        pool = ThreadPoolExecutor(4, thread_name_prefix="procpool-grpc")
        server = grpc.server(pool, options=OPTIONS, maximum_concurrent_rpcs=None)
        handlers: dict[str, Any] = {"Hello": grpc.unary_unary_rpc_method_handler(self._hello)}
        for name in STREAMS:
            handlers[name] = grpc.stream_stream_rpc_method_handler(self._behavior(name))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        server.add_insecure_port("unix:" + path)
        server.start()
        self._server = server  # stops when it is collected

    def advance(self) -> None:
        """Do nothing: the library's threads do it."""

    def _hello(self, request: bytes, context: Any) -> bytes:
        try:
            return self._service.hello(request)
        except Refused as refused:
            self._abort(context, refused)
            raise

    def _behavior(self, name: str) -> Callable[[Iterable[bytes], Any], Iterator[bytes]]:
        def serve(requests: Iterable[bytes], context: Any) -> Iterator[bytes]:
            messages = _Messages()
            try:
                receiver = self._service.open(name, messages.put)
            except Refused as refused:
                self._abort(context, refused)
                raise
            context.add_callback(messages.end)
            reader = _Reader(requests, receiver, messages)
            reader.start()
            # The library asks for the next message when the last was sent.
            while (message := messages.take()) is not None:
                yield message
                receiver.sent()
            if messages.refused is not None:
                self._abort(context, messages.refused)

        return serve

    def _abort(self, context: Any, refused: Refused) -> None:
        context.abort(self._grpc.StatusCode[refused.status], refused.details)


class _Messages:
    """Messages on their way from who sends them to the library's thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._messages: deque[bytes] = deque()
        self._ended = False
        self.refused: Refused | None = None

    def put(self, message: bytes) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def take(self) -> bytes | None:
        with self._changed:
            while not self._messages and not self._ended:
                self._changed.wait()
            return self._messages.popleft() if self._messages else None


class _Reader:
    """A thread that hands a stream's messages to their receiver."""

    def __init__(self, requests: Iterable[bytes], receiver: Receiver, messages: _Messages) -> None:
        self._requests, self._receiver, self._messages = requests, receiver, messages

    def start(self) -> None:
        from threading import Thread

        Thread(target=self._run, name="procpool-reader", daemon=True).start()

    def _run(self) -> None:
        try:
            for message in self._requests:
                self._receiver.received(message)
        except Refused as refused:
            self._messages.refused = refused
        except Exception as error:  # the library's, when the connection is lost
            import grpc

            if not isinstance(error, grpc.RpcError):
                raise
        finally:
            self._receiver.ended()
            self._messages.end()
