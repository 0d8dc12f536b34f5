from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from host import wait_for

from procpool._outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Wire:
    """A stream that keeps what is sent, until it is told that the kernel has it."""

    def __init__(self, message_bytes: int = 100) -> None:
        self.sent: list[bytes] = []
        self.looked = 0
        self.outgoing = Outgoing(message_bytes)

    def open(self) -> Outgoing:
        self.outgoing.open(self.sent.append, self.look)
        return self.outgoing

    def look(self) -> None:
        self.looked += 1


def test_what_waits_shares_a_message() -> None:
    wire = Wire()
    outgoing = wire.open()
    assert outgoing.post(b"1") == 1
    assert wire.sent == [b"1"]
    assert [outgoing.post(b"2"), outgoing.post((b"3", memoryview(b"4")))] == [2, 3]
    assert wire.sent == [b"1"]
    assert wire.looked == 2
    assert (outgoing.covered, outgoing.written) == (1, 0)
    outgoing.sent()
    assert wire.sent == [b"1", b"234"]
    assert (outgoing.covered, outgoing.written) == (3, 1)
    outgoing.sent()
    assert (outgoing.covered, outgoing.written) == (3, 3)


def test_what_comes_before_the_stream_waits_for_it() -> None:
    wire = Wire()
    wire.outgoing.post(b"1")
    wire.open()
    assert wire.sent == [b"1"]


def test_messages_have_a_size() -> None:
    wire = Wire(message_bytes=10)
    outgoing = wire.open()
    for element in (b"0", b"1" * 6, b"2" * 4, b"3" * 30, b"4", b"5" * 10):
        outgoing.post(element)
    for _ in range(6):
        outgoing.sent()
    sizes = [len(message) for message in wire.sent]
    assert sizes == [1, 10, 30, 1, 10]


def test_nothing_of_the_next_call_travels_with_an_outcome() -> None:
    # A host takes the outcomes of a message last.
    wire = Wire()
    outgoing = wire.open()
    outgoing.post(b"x")
    for element in ("v1", "O1", "O2", "v3", "v3", "O3", "v4"):
        outgoing.put(element.encode(), outcome=element.startswith("O"))
    for _ in range(4):
        outgoing.sent()
    assert wire.sent == [b"x", b"v1O1O2", b"v3v3O3", b"v4"]


def test_waiting_for_the_kernel() -> None:
    wire = Wire()
    outgoing = wire.open()
    number = outgoing.post(b"1")
    last = outgoing.put(b"2")
    reached: list[str] = []

    def wait() -> None:
        outgoing.await_covered(number)
        reached.append("first covered")
        outgoing.await_covered(last)
        reached.append("last covered")
        outgoing.await_written(last)
        reached.append("last written")

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(lambda: bool(outgoing._sleepers), "the wait")
    assert reached == ["first covered"]
    outgoing.sent()
    wait_for(lambda: reached == ["first covered", "last covered"], "the second message")
    wait_for(lambda: bool(outgoing._sleepers), "the wait")
    outgoing.sent()
    thread.join(60)
    assert reached[-1] == "last written"


def test_nobody_waits_for_a_host_that_is_gone() -> None:
    wire = Wire()
    outgoing = wire.open()
    last = outgoing.post(b"1")
    thread = threading.Thread(target=outgoing.await_written, args=(last,))
    thread.start()
    wait_for(lambda: bool(outgoing._sleepers), "the wait")
    outgoing.close()
    thread.join(60)
    assert not thread.is_alive()
    outgoing.await_written(outgoing.post(b"2"))
    assert wire.sent == [b"1"]


class Interrupting(tuple[bytes, ...]):
    """Pieces that, when they are put into a message, have their own thread send something.

    Python does so wherever it happens to collect garbage: a __del__ may write to the log.
    """

    write: Callable[[], object] = staticmethod(lambda: None)

    def __iter__(self) -> Iterator[bytes]:
        self.write()
        return super().__iter__()


def test_what_is_sent_while_a_message_is_made_does_not_wait_for_it() -> None:
    wire = Wire()
    outgoing = wire.open()
    pieces = Interrupting((b"1", b"2"))
    outgoing.put(pieces)
    pieces.write = lambda: outgoing.post(b"3")
    outgoing.put(b"4")
    thread = threading.Thread(target=outgoing.push, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for itself"
    pieces.write = lambda: None
    outgoing.sent()
    assert b"".join(wire.sent) == b"1243"
    assert (outgoing.put_last, outgoing.covered) == (3, 3)
