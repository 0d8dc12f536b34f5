"""What comes from the host on the Work stream.

Small messages are parsed by the generated code. It would copy a large payload twice: so in
large messages the payloads are cut out first, and what is left of them is parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ._gen import worker_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.message import Message

    Encoded = bytes | memoryview

_LARGE = 256 << 10  # small calls share messages up to that size

# Tags of a WorkRequest's lists, and of the payloads in their elements.
_TASKS, _VALUES, _CREDITS, _HOST_REPLIES = (number << 3 | 2 for number in (1, 3, 4, 6))
_TASK_INLINE, _VALUE_INLINE, _REPLY_INLINE = (number << 3 | 2 for number in (5, 3, 2))


class Arrived(NamedTuple):
    """A Task and its payload."""

    wire: worker_pb2.Task
    payload: Encoded


class Request(NamedTuple):
    """A WorkRequest. Payloads are beside what they belong to, in which they may be missing."""

    tasks: list[Arrived]
    values: list[tuple[worker_pb2.StreamValue, Encoded]]
    credits: Sequence[worker_pb2.Credit]
    host_replies: list[tuple[worker_pb2.HostReply, Encoded]]


def parse(data: bytes) -> Request:
    """Parse a WorkRequest; raises ValueError or protobuf's DecodeError.

    Payloads may be parts of data.
    """
    if len(data) >= _LARGE:
        return _parse_large(data)
    message = worker_pb2.WorkRequest.FromString(data)
    return Request(
        [Arrived(task, task.inline) for task in message.tasks],
        [(value, value.inline) for value in message.values],
        message.credits,
        [(reply, reply.inline) for reply in message.host_replies],
    )


def _parse_large(data: bytes) -> Request:
    credits_: list[worker_pb2.Credit] = []
    parsed = Request([], [], credits_, [])
    view = memoryview(data)
    for tag, _, begin, end in _fields(view):
        body = view[begin:end]
        if tag == _TASKS:
            task = worker_pb2.Task()
            parsed.tasks.append(Arrived(task, _parse_around(task, body, _TASK_INLINE)))
        elif tag == _VALUES:
            value = worker_pb2.StreamValue()
            parsed.values.append((value, _parse_around(value, body, _VALUE_INLINE)))
        elif tag == _CREDITS:
            credits_.append(worker_pb2.Credit.FromString(bytes(body)))
        elif tag == _HOST_REPLIES:
            reply = worker_pb2.HostReply()
            parsed.host_replies.append((reply, _parse_around(reply, body, _REPLY_INLINE)))
    return parsed


def _parse_around(message: Message, body: memoryview, payload_tag: int) -> memoryview:
    """Parse a message but for the field that holds its payload, and return that."""
    payload = body[:0]
    rest = b""
    for tag, start, begin, end in _fields(body):
        if tag == payload_tag:
            payload = body[begin:end]
        else:
            rest += body[start:end]
    message.ParseFromString(rest)
    return payload


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Yield each field's tag, where it starts, where its value begins, and where it ends."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        begin = at
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            size, begin = _varint(data, at)
            at = begin + size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the kind {kind}")
        if at > len(data):
            raise ValueError("a field is longer than its message")
        yield tag, start, begin, at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read a number; return it and where it ends."""
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number has no end")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at
