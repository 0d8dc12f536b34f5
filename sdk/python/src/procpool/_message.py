"""What goes to the host, encoded by hand.

A WorkResponse is a list of elements, and lists that are put one behind the other are one
list: so each element is encoded when it is ready, and a message is a join. What is
frequent or large is written and read here, the rest by the generated code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._actor import Method
    from ._runtime import Payload
    from ._task import Task

    Piece = bytes | bytearray | memoryview

# Fields of a WorkResponse, as tags: 10 is a length and that many bytes.
OUTCOME, _VALUE = b"\x0a", b"\x12"

_COPIED = 32 << 10  # smaller payloads are copied into their element right away

# TaskKind, by the names that Task.kind has.
_KINDS = {"function": b"\x01", "stream": b"\x02", "actor": b"\x03", "session": b"\x04"}

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
    return element_around(OUTCOME, head, result, size)


def declined(seq: int) -> bytes:
    """Encode the outcome of a call that was not run."""
    number = varint(seq)
    return b"\x0a%b\x08%b\x3a\x00" % (_LAST[3 + len(number)], number)


def value_head(seq: int) -> bytes:
    """Encode of whom the values of a call of lane 0 are."""
    return b"\x08" + varint(seq)


def host_call_head(number: int) -> bytes:
    """Encode to which HostCall credit is given."""
    return b"\x28" + varint(number)


def value(head: bytes, encoded: Payload, size: int) -> Payload:
    """Encode a value of that size; head is from value_head."""
    return element_around(_VALUE, b"%b\x1a%b" % (head, varint(size)), encoded, size)


def credit(head: bytes, values: int, size: int) -> bytes:
    """Encode the permission to send that many values more, to whom head says."""
    body = b"%b\x18%b\x20%b" % (head, varint(values), varint(size))
    return b"\x1a%b%b" % (varint(len(body)), body)


def element(tag: bytes, body: bytes) -> bytes:
    """Encode an element whose body is encoded."""
    return b"%b%b%b" % (tag, varint(len(body)), body)


def element_around(tag: bytes, head: bytes, payload: Payload, size: int) -> Payload:
    """Encode an element whose body is head and, behind it, a payload of that size."""
    if isinstance(payload, bytes):
        if size < _COPIED:
            return b"%b%b%b%b" % (tag, varint(len(head) + size), head, payload)
        return (b"%b%b%b" % (tag, varint(len(head) + size), head), payload)
    return (b"%b%b%b" % (tag, varint(len(head) + size), head), *payload)


def join(pieces: Iterable[Piece]) -> bytes:
    """Make one message of encoded elements and their parts."""
    return b"".join(pieces)


def hello(
    tasks: Sequence[Task], version: str, capabilities: Sequence[str], pid: int, recorder: bool
) -> bytes:
    """Encode the HelloResponse of a worker with one lane."""
    parts = [
        _text(b"\x0a", "procpool-python"),
        _text(b"\x12", version),
        _text(b"\x1a", "python"),
        b"\x20\x01",  # the contract's revision
        *(_text(b"\x2a", name) for name in capabilities),
        b"\x30\x01",  # lanes
        *(element(b"\x3a", _description(task)) for task in tasks),
        b"\x40" + varint(pid),
    ]
    if recorder:
        parts.append(b"\x48\x01")
    return b"".join(parts)


def pong(number: int, memory: int) -> bytes:
    """Encode the ControlResponse that answers a Ping."""
    return element(b"\x0a", b"\x08%b\x10%b" % (varint(number), varint(memory)))


def _description(task: Task) -> bytes:
    return b"".join(
        [
            _text(b"\x0a", task.name),
            _text(b"\x12", task.input),
            _text(b"\x1a", task.output),
            *(_text(b"\x22", codec) for codec in task.codecs),
            _text(b"\x2a", task.doc),
            b"\x30" + _KINDS[task.kind],
            *(_text(b"\x3a", method.method) for method in task.methods),
            _text(b"\x42", task.receives),
            *(element(b"\x4a", _method(method)) for method in task.methods),
        ]
    )


def _method(method: Method) -> bytes:
    return b"".join(
        [
            _text(b"\x0a", method.input),
            _text(b"\x12", method.output),
            *(_text(b"\x1a", codec) for codec in method.codecs),
            _text(b"\x22", method.doc),
        ]
    )


def _text(tag: bytes, text: str) -> bytes:
    return element(tag, text.encode("utf-8", "replace")) if text else b""
