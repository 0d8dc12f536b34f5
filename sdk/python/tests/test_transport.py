from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import cbor2
import grpc
import pytest
from host import _SERVICE
from relay import Relay

from procpool import _direct
from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from conftest import Start

_TASKS = """
    import os, time
    from collections.abc import Iterator
    import procpool

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task(codecs=("raw",))
    def echo(data: bytes) -> bytes:
        return data

    @procpool.task()
    def sleep(_: None) -> None:
        time.sleep(3600)

    @procpool.task()
    def die(_: None) -> None:
        os._exit(3)

    @procpool.stream()
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    @procpool.task()
    def threads(_: None) -> list:
        import threading
        return sorted(thread.name for thread in threading.enumerate())
"""
DIRECT = _TASKS + "\n    procpool.serve()\n"
PUBLIC = (
    _TASKS
    + """
    from procpool import _direct
    _direct.FITS = False
    procpool.serve()
"""
)
UNFIT = (
    _TASKS
    + """
    from procpool import _direct
    class Server:
        def __init__(self, arguments):  # takes one less
            pass
    class Changed:
        CompletionQueue = _direct.cygrpc.CompletionQueue
        Server = Server
    _direct.cygrpc = Changed
    procpool.serve()
"""
)


def test_the_direct_way_fits_this_grpcio() -> None:
    assert _direct.FITS


@pytest.mark.parametrize(
    ("source", "thread"),
    [(DIRECT, "procpool-wire"), (PUBLIC, "procpool-grpc"), (UNFIT, "procpool-grpc")],
)
def test_a_worker_on_each_transport(start: Start, source: str, thread: str) -> None:
    worker = start(source)
    names = cbor2.loads(worker.call("threads", b"\xf6").inline)
    assert any(name.startswith(thread) for name in names)
    for n in range(300):
        worker.start("square", cbor2.dumps(n))
    assert cbor2.loads(worker.call("square", b"\x07").inline) == 49
    assert len(worker.taken(pb.Outcome)) == 300
    data = bytes(9 << 20)
    assert worker.call("echo", data).inline == data
    seq = worker.start("count", cbor2.dumps(500), result_credit=500, result_credit_bytes=1 << 20)
    worker.outcome(seq)
    assert len(worker.taken(pb.StreamValue)) == 500
    seq = worker.start("sleep", b"\xf6")
    worker.ping(1)
    worker.cancel(seq)
    worker.outcome(seq)
    assert worker.leave() == 0


@pytest.mark.parametrize("source", [DIRECT, PUBLIC])
def test_a_finished_call_survives_on_each_transport(start: Start, source: str) -> None:
    worker = start(source, hello=False)
    relay = Relay(worker)
    worker.hello()
    data = bytes(300_000)
    worker.send(
        pb.WorkRequest(
            tasks=[
                worker.task("square", b"\x07"),
                worker.task("echo", data),
                worker.task("die", b"\xf6"),
            ]
        )
    )
    assert worker.page
    assert {*relay.outcomes(), *(o.seq for o in worker.page.journal())} == {1, 2}
    assert worker.process.returncode == 3


@pytest.mark.parametrize("source", [DIRECT, PUBLIC])
def test_the_order_of_the_start(start: Start, source: str) -> None:
    worker = start(source, hello=False)
    channel = grpc.insecure_channel(
        "unix:" + (worker._handshake or b"").decode(),
        options=[("grpc.use_local_subchannel_pool", 1)],
    )
    hello = channel.unary_unary(_SERVICE + "Hello")
    request = pb.HelloRequest(revision=1, lanes=1).SerializeToString()

    def refusal(name: str) -> tuple[object, str]:
        responses = channel.stream_stream(_SERVICE + name)(iter(()), wait_for_ready=True)
        with pytest.raises(grpc.RpcError) as caught:
            next(responses)
        error: grpc.RpcError = caught.value
        return error.code(), error.details()

    try:
        early = (grpc.StatusCode.FAILED_PRECONDITION, "the first call on a connection is Hello")
        assert refusal("Work") == early
        assert refusal("Control") == early
        assert refusal("Play")[0] == grpc.StatusCode.UNIMPLEMENTED
        hello(request, timeout=60)
        with pytest.raises(grpc.RpcError, match="Hello was said before"):
            hello(request, timeout=60)
    finally:
        channel.close()


def test_nobody_else_is_let_in(start: Start) -> None:
    worker = start(DIRECT)
    with socket.socket(socket.AF_UNIX) as stranger, pytest.raises(FileNotFoundError):
        stranger.connect((worker._handshake or b"").decode())
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
