"""Elements of what goes to the host on the Work stream, encoded by hand.

A WorkResponse is a list of elements, and lists that are put one behind the other are one
list: so each element is encoded when it is ready, and a message is a join. What is
frequent or large is written and read here, the rest by the generated code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._gen import worker_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._runtime import Payload

    Piece = bytes | bytearray | memoryview

# Fields of a WorkResponse, as tags: 10 is a length and that many bytes.
_OUTCOME, _VALUE, _CREDIT = b"\x0a", b"\x12", b"\x1a"
PROGRESS, LOG, HOST_CALL, HOST_CANCEL = b"\x22", b"\x2a", b"\x32", b"\x3a"

_COPIED = 32 << 10  # smaller payloads are copied into their element right away

_LAST = [bytes((i,)) for i in range(128)]
_MORE = [bytes((i | 128,)) for i in range(128)]


def varint(n: int) -> bytes:
    """Encode a number of at most 64 bits that is not negative."""
    if n < 0x80:
        return _LAST[n]
    if n < 0x4000:
        return _MORE[n & 127] + _LAST[n >> 7]
    if n < 0x200000:
        return _MORE[n & 127] + _MORE[n >> 7 & 127] + _LAST[n >> 14]
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def size_of(payload: Payload) -> int:
    """Return how many bytes an encoded value has."""
    return len(payload) if isinstance(payload, bytes) else sum(map(len, payload))


def outcome(seq: int, ran: int, result: Payload, size: int) -> Payload:
    """Encode the outcome of a call of lane 0 whose result has that size."""
    head = b"\x08%b\x18%b\x22%b" % (varint(seq), varint(ran), varint(size))
    return _element(_OUTCOME, head, result, size)


def failed(seq: int, ran: int, failure: worker_pb2.Failure) -> bytes:
    """Encode the outcome of a call that has failed."""
    encoded = worker_pb2.Outcome(seq=seq, run_nanos=ran, failure=failure).SerializeToString()
    return b"\x0a%b%b" % (varint(len(encoded)), encoded)


def declined(seq: int) -> bytes:
    """Encode the outcome of a call that was not run."""
    number = varint(seq)
    return b"\x0a%b\x08%b\x3a\x00" % (_LAST[3 + len(number)], number)


def value_head(seq: int) -> bytes:
    """Encode of whom the values of a call of lane 0 are."""
    return b"\x08" + varint(seq)


def host_call_value_head(number: int) -> bytes:
    """Encode of whom the values of a HostCall are."""
    return b"\x30" + varint(number)


def value(head: bytes, encoded: Payload, size: int) -> Payload:
    """Encode a value of that size; head is from value_head."""
    return _element(_VALUE, b"%b\x1a%b" % (head, varint(size)), encoded, size)


def credit(head: bytes, values: int, size: int) -> bytes:
    """Encode the permission to send that many values more; head is from credit_head."""
    body = b"%b\x18%b\x20%b" % (head, varint(values), varint(size))
    return b"\x1a%b%b" % (varint(len(body)), body)


def element(tag: bytes, body: bytes) -> bytes:
    """Encode an element whose body is encoded."""
    return b"%b%b%b" % (tag, varint(len(body)), body)


def host_call(call: worker_pb2.HostCall, argument: Payload) -> Payload:
    """Encode a HostCall, whose argument is not in it yet."""
    size = size_of(argument)
    head = b"%b\x32%b" % (call.SerializeToString(), varint(size))
    return _element(HOST_CALL, head, argument, size)


def _element(tag: bytes, head: bytes, payload: Payload, size: int) -> Payload:
    if isinstance(payload, bytes):
        if size < _COPIED:
            return b"%b%b%b%b" % (tag, varint(len(head) + size), head, payload)
        return (b"%b%b%b" % (tag, varint(len(head) + size), head), payload)
    return (b"%b%b%b" % (tag, varint(len(head) + size), head), *payload)


def join(pieces: Iterable[Piece]) -> bytes:
    """Make one message of encoded elements and their parts."""
    return b"".join(pieces)
