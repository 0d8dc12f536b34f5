"""What comes from the host, parsed by hand.

The generated code would copy a large payload twice, and takes longer to import than all
else of this package: most workers never need it (see _rare.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Encoded = bytes | memoryview

# Parts of smaller messages are copied, those of larger ones are views.
_COPIED = 32 << 10


class Malformed(Exception):
    """A message that the contract does not allow."""


class Hello(NamedTuple):
    """A HelloRequest."""

    capabilities: set[str]
    max_payload: int
    recorder: bool
    log_level: int


class Task:
    """A Task."""

    seq = lane = function = 0
    codec = ""
    payload: Encoded = b""
    sizes: list[int] | None = None
    timeout_nanos = attempt = 0
    metadata: dict[str, str] | None = None
    credit = credit_bytes = 0
    streams_argument = False
    actor = method = 0
    called_as = "function"  # by what travels with it; see _task.py


class Value:
    """A StreamValue."""

    seq = host_call = 0
    payload: Encoded = b""
    end = False


class Credit:
    """A Credit."""

    seq = host_call = values = size = 0


class Reply:
    """A HostReply."""

    id = 0
    result: Encoded = b""
    failure: bytes | None = None
    actor = 0


class Request(NamedTuple):
    """A WorkRequest."""

    tasks: list[Task]
    values: list[Value]
    credits: list[Credit]
    replies: list[Reply]


def parse(data: bytes) -> Request:
    """Parse a WorkRequest."""
    request = Request([], [], [], [])
    try:
        for tag, body in _fields(memoryview(data) if len(data) >= _COPIED else data):
            if tag == 0x0A:
                request.tasks.append(_task(body))
            elif tag == 0x1A:
                request.values.append(_value(body))
            elif tag == 0x22:
                request.credits.append(_credit(body))
            elif tag == 0x32:
                request.replies.append(_reply(body))
    except (IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"a WorkRequest is cut short, or no text is one: {error}") from error
    return request


def parse_hello(data: bytes) -> Hello:
    """Parse a HelloRequest."""
    capabilities, numbers = set(), {}
    for tag, value in _checked_fields(data):
        if tag == 0x12:
            capabilities.add(_text(value))
        else:
            numbers[tag] = value
    return Hello(capabilities, numbers.get(0x20, 0), bool(numbers.get(0x28)), numbers.get(0x30, 0))


def parse_control(data: bytes) -> tuple[str, int, int]:
    """Parse a ControlRequest: "cancel", the lane and the call; "ping", 0 and its number; or ""."""
    event = ("", 0, 0)
    for tag, body in _checked_fields(data):
        numbers = dict(_checked_fields(body)) if tag in (0x0A, 0x12) else {}
        if tag == 0x0A:
            event = ("cancel", numbers.get(0x08, 0), numbers.get(0x10, 0))
        elif tag == 0x12:
            event = ("ping", 0, numbers.get(0x08, 0))
    return event


def _task(body: Encoded) -> Task:
    task = Task()
    for tag, value in _fields(body):
        if tag == 0x08:
            task.seq = value
        elif tag == 0x2A:
            task.payload = value
        elif tag == 0x18:
            task.function = value
        elif tag == 0x22:
            task.codec = _text(value)
        elif tag == 0x3A:
            task.sizes = (task.sizes or []) + _numbers(value)
        elif tag == 0x40:
            task.timeout_nanos = value
        elif tag == 0x78:
            task.actor = value
            if value:
                task.called_as = "actor"
        elif tag == 0x60:
            task.method = value
        elif tag == 0x50:
            task.credit = value
            if value and task.called_as == "function":
                task.called_as = "stream"
        elif tag == 0x70:
            task.credit_bytes = value
        elif tag == 0x58:
            task.streams_argument = bool(value)
            if value and task.called_as != "actor":
                task.called_as = "session"
        elif tag == 0x68:
            task.attempt = value
        elif tag == 0x4A:
            entry = dict(_fields(value))
            task.metadata = task.metadata or {}
            task.metadata[_text(entry.get(0x0A, b""))] = _text(entry.get(0x12, b""))
        elif tag == 0x10:
            task.lane = value
        elif tag == 0x38:  # not packed
            task.sizes = [*(task.sizes or ()), value]
        elif tag == 0x32:
            raise Malformed("a payload is in a segment, which was not offered")
    if task.sizes is not None and sum(task.sizes) != len(task.payload):
        raise Malformed("the sizes of a pack's items do not add up to its payload")
    return task


def _value(body: Encoded) -> Value:
    value = Value()
    for tag, field in _fields(body):
        if tag == 0x08:
            value.seq = field
        elif tag == 0x1A:
            value.payload = field
        elif tag == 0x28:
            value.end = bool(field)
        elif tag == 0x30:
            value.host_call = field
        elif tag == 0x22:
            raise Malformed("a value is in a segment, which was not offered")
    return value


def _credit(body: Encoded) -> Credit:
    numbers = dict(_fields(body))
    credit = Credit()
    credit.seq, credit.host_call = numbers.get(0x08, 0), numbers.get(0x28, 0)
    credit.values, credit.size = numbers.get(0x18, 0), numbers.get(0x20, 0)
    return credit


def _reply(body: Encoded) -> Reply:
    reply = Reply()
    for tag, value in _fields(body):
        if tag == 0x08:
            reply.id = value
        elif tag == 0x12:
            reply.result = value
        elif tag == 0x22:
            reply.failure = bytes(value)
        elif tag == 0x48:
            reply.actor = value
        elif tag == 0x1A:
            raise Malformed("a result is in a segment, which was not offered")
    return reply


def _text(value: Encoded) -> str:
    return str(value, "utf-8")


def _numbers(packed: Encoded) -> list[int]:
    """Return the numbers of a packed list."""
    numbers = []
    at, end = 0, len(packed)
    while at < end:
        number = packed[at]
        at += 1
        if number > 127:
            number, at = _varint(packed, at - 1)
        numbers.append(number)
    return numbers


def _checked_fields(data: Encoded) -> list[tuple[int, Any]]:
    try:
        return list(_fields(data))
    except IndexError as error:
        raise Malformed("a message is cut short") from error


def _fields(data: Encoded) -> Iterator[tuple[int, Any]]:
    """Yield each field's tag, and its number or its bytes; IndexError if data is cut short."""
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        kind = tag & 7
        if kind == 2:
            size = data[at]
            at += 1
            if size > 127:
                size, at = _varint(data, at - 1)
            at += size
            if at > end:
                raise IndexError("a field is longer than its message")
            yield tag, data[at - size : at]
        elif kind == 0:
            number = data[at]
            at += 1
            if number > 127:
                number, at = _varint(data, at - 1)
            yield tag, number
        elif kind in (1, 5):  # there are none yet
            at += 8 if kind == 1 else 4
            if at > end:
                raise IndexError("a field is longer than its message")
        else:
            raise Malformed(f"a field of the kind {kind}")


def _varint(data: Encoded, at: int) -> tuple[int, int]:
    """Read a number; return it and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise Malformed("a number has no end")
