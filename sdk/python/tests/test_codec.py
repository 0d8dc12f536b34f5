"""Values as bytes and back: CBOR as a Go host has it, JSON and raw."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import pathlib
import re
import struct
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cbor2
import pytest

from procpool import _codec
from procpool._failure import CodecFailure
from procpool._shape import Shape

UTC = dt.timezone.utc


def decode(data: bytes, hint: Any = Any, codec: str = "cbor") -> Any:
    made = _codec.decode(codec, data, Shape(hint), "decode the argument")
    # The machinery hands over views of messages.
    again = _codec.decode(codec, memoryview(data), Shape(hint), "decode the argument")
    assert repr(again) == repr(made)
    return made


def encode(value: Any, hint: Any = Any, codec: str = "cbor") -> bytes:
    payload = _codec.encode(codec, value, Shape(hint), "encode the result")
    return payload if isinstance(payload, bytes) else b"".join(payload)


def refused(data: bytes, hint: Any = Any, codec: str = "cbor") -> str:
    with pytest.raises(CodecFailure) as caught:
        decode(data, hint, codec)
    assert caught.value.codec == codec
    assert caught.value.op == "decode the argument"
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (49, "1831"),
        (-1, "20"),
        (2**63 - 1, "1b7fffffffffffffff"),
        (-(2**63), "3b7fffffffffffffff"),
        (2**64 - 1, "1bffffffffffffffff"),
        (2**64, "c249010000000000000000"),
        (-(2**64) - 1, "c349010000000000000000"),
        (1.0, "fb3ff0000000000000"),
        (-0.0, "fb8000000000000000"),
        (True, "f5"),
        (False, "f4"),
        (None, "f6"),
        ("", "60"),
        ("é", "62c3a9"),
        (b"\xff\x00", "42ff00"),
        ([1, [2]], "81018102"[0:0] + "8201" + "8102"),
        ({"a": 1, "b": [True]}, "a261610161" + "6281f5"),
        (dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), "c074" + b"2024-05-06T07:08:09Z".hex()),
    ],
)
def test_cbor_is_what_go_writes(value: Any, data: str) -> None:
    assert encode(value).hex() == data
    assert encode(value, type(value)).hex() == data
    for hint in (Any, type(value)):
        made = decode(bytes.fromhex(data), hint)
        assert made == value
        assert type(made) is type(value)
        assert math.copysign(1, made) == math.copysign(1, value) if value == 0 else True


def test_floats_that_are_no_numbers() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode(-math.inf)) == -math.inf
    assert math.isnan(decode(bytes.fromhex("fb7ff8000000000001"), float))
    assert decode(bytes.fromhex("f93c00")) == 1.0
    assert decode(bytes.fromhex("fa3fc00000"), float) == 1.5


def nested(depth: int) -> bytes:
    return b"\x81" * depth + b"\x01"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "there is nothing to decode"),
        ("18", "."),  # what it says depends on what is taken for the rest
        ("8201", "."),
        ("6261", "."),
        ("0102", "one item of CBOR is cut short, or something follows it"),
        ("820102" + "00", "something follows it"),
        ("a2610101610102", "Duplicate map key"),
        ("a201010102", "Duplicate map key"),
        ("9f01ff", "indefinite length"),
        ("7f6161ff", "indefinite length"),
        ("62ffff", "text"),
        ("9bffffffffffffffff", "."),
        ("5bffffffffffffffff", "."),
        ("ff", "break"),
        ("1c", "subtype"),
        (nested(65).hex(), "depth"),
    ],
)
def test_cbor_that_is_refused(data: str, message: str) -> None:
    assert re.search(message, refused(bytes.fromhex(data))), refused(bytes.fromhex(data))


def test_nesting() -> None:
    value = decode(nested(64))
    assert encode(value) == nested(64)
    with pytest.raises(CodecFailure, match=r"^result(\[0\])*: nested deeper than 64"):
        encode([value])
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(CodecFailure, match="nested deeper than 64, or within itself"):
        encode(ring)


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    left: int
    right: str


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Report:
    points: list[Point]
    when: dt.datetime
    tags: set[str] = field(default_factory=set)
    raw: bytes = b""


class Text(str):
    __slots__ = ()


MOMENT = dt.datetime(2024, 5, 6, 7, 8, 9, 500000, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset({"a"}), ["a"]),
        (range(3), [0, 1, 2]),
        (deque([1]), [1]),
        ({"a": 1}.keys(), ["a"]),
        (OrderedDict(a=(1,)), {"a": [1]}),
        (Pair(1, "b"), [1, "b"]),
        (Point(1.5), {"x": 1.5, "y": 0.0}),
        ([Point(1.5)], [{"x": 1.5, "y": 0.0}]),
        ({"p": {"q": Point(1.5)}}, {"p": {"q": {"x": 1.5, "y": 0.0}}}),
        (Color.RED, "red"),
        ({Color.RED: Level.LOW}, {"red": 1}),
        (Text("a"), "a"),
        (dt.date(2024, 5, 6), "2024-05-06"),
        (dt.timedelta(milliseconds=1), 1_000_000),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
    ],
)
def test_values_become_plain(value: Any, plain: Any) -> None:
    before = repr(value)
    for hint in (Any, int, list[int]):  # a hint that is wrong is no obstacle
        assert decode(encode(value, hint)) == plain
        assert decode(encode(value, hint, "json"), Any, "json") == plain
    assert repr(value) == before


@pytest.mark.parametrize("value", [bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a-b-")[::2]])
def test_kinds_of_bytes(value: Any) -> None:
    assert encode(value) == b"\x42ab"
    assert encode([value]) == b"\x81\x42ab"
    assert encode(value, Any, "json") == b'"YWI="'
    assert encode(value, Any, "raw") == b"ab"


def test_datetimes() -> None:
    assert encode(MOMENT) == b"\xc0\x78\x20" + b"2024-05-06T07:08:09.500000+02:00"
    assert encode(MOMENT, Any, "json") == b'"2024-05-06T07:08:09.500000+02:00"'
    assert decode(encode(MOMENT), dt.datetime) == MOMENT
    assert decode(encode(MOMENT, Any, "json"), dt.datetime, "json") == MOMENT
    nanoseconds = cbor2.dumps(cbor2.CBORTag(0, "2024-05-06T07:08:09.123456789Z"))
    assert decode(nanoseconds, dt.datetime).microsecond == 123456
    with pytest.raises(
        CodecFailure, match=r"result\.when: a datetime without a time zone; add one"
    ):
        encode(Report([], dt.datetime(2024, 5, 6)))


def test_dataclasses_come_back() -> None:
    report = Report([Point(1.5), Point(0.5, 2.0)], MOMENT, {"a"}, b"\xff")
    assert decode(encode(report), Report) == report
    assert decode(encode(report, Report, "json"), Report, "json") == report


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "result: a builtins.object can't cross to another process; use a dataclass"),
        ([1, {"a": [print]}], "result[1]['a'][0]: a builtins.builtin_function_or_method can't"),
        (Report([Point(1j)], MOMENT), "result.points[0].x: a builtins.complex can't"),  # type: ignore[arg-type]
        ((n for n in [1]), "result: a builtins.generator can't"),
        ("\ud800", "'utf-8' codec can't encode"),
        ({Color.RED: 1, "red": 2}, "result: two keys of a map become the same"),
    ],
)
def test_values_that_can_not_be_encoded(value: Any, message: str) -> None:
    for hint in (Any, str, list[int]):
        for codec in ("cbor", "json"):
            with pytest.raises(CodecFailure) as caught:
                encode(value, hint, codec)
            assert str(caught.value).startswith(message)
            assert caught.value.op == "encode the result"


def test_failures_name_the_path() -> None:
    data = encode({"points": [{"x": 1.0}] * 3 + [{"x": "a"}], "when": MOMENT})
    assert refused(data, Report) == "argument.points[3].x: expected float, got str"
    with pytest.raises(CodecFailure, match=r"^value\[0\]: expected int, got str"):
        _codec.decode("cbor", encode(["a"]), Shape(list[int]), "decode a received value")


def test_json() -> None:
    assert encode({"ü": [1, 1.5, None, True]}, Any, "json") == '{"ü":[1,1.5,null,true]}'.encode()
    assert encode({1: "a", None: b"\x00"}, Any, "json") == b'{"1":"a","null":"AA=="}'
    assert decode(b' {"a": 1.0} ', Any, "json") == {"a": 1.0}
    assert decode(b'{"1": "AA=="}', dict[int, bytes], "json") == {1: b"\x00"}
    assert decode(b"18446744073709551616", int, "json") == 2**64
    for data, message in [
        (b"", "Expecting value"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1 2", "Extra data"),
        (b'"\xff"', "'utf-8' codec can't decode"),
        (b'"a"'.decode().encode("utf-16"), "'utf-8' codec can't decode"),
        (b"[" * 100_000, "it is nested too deeply"),
    ]:
        assert refused(data, Any, "json").startswith(message), data[:10]
    for value in (math.nan, [math.inf]):
        with pytest.raises(CodecFailure, match="not JSON compliant"):
            encode(value, Any, "json")


def test_raw() -> None:
    assert decode(b"\xff", bytes, "raw") == b"\xff"
    assert decode(b"", bytes, "raw") == b""
    assert decode(b"\xff", Any, "raw") == b"\xff"
    assert type(decode(b"ab", bytearray, "raw")) is bytearray
    view = _codec.decode("raw", b"ab", Shape(memoryview), "decode the argument")
    assert isinstance(view, memoryview)
    assert view.tobytes() == b"ab"
    assert (
        refused(b"1", int, "raw") == "argument: expected int, got bytes, and raw has nothing else"
    )
    with pytest.raises(
        CodecFailure, match="result: expected bytes, since raw has nothing else, got str"
    ):
        encode("a", Any, "raw")


def test_unknown_codec() -> None:
    assert refused(b"", Any, "proto") == "Python workers know the codecs cbor, json, raw"


def test_lack_of_memory_is_no_matter_of_the_codec() -> None:
    @dataclass
    class Greedy:
        n: int

        def __post_init__(self) -> None:
            raise MemoryError

    with pytest.raises(MemoryError):
        decode(encode({"n": 1}), Greedy)


LARGE = 1 << 20


def test_large_bytes_are_not_copied() -> None:
    value = bytes(LARGE)
    payload = _codec.encode("cbor", value, Shape(bytes), "encode the result")
    assert isinstance(payload, tuple)
    assert payload[1] is value
    data = b"".join(payload)
    assert data == cbor2.dumps(value)
    view = _codec.decode("cbor", data, Shape(memoryview), "decode the argument")
    assert view.obj is data
    assert decode(data, bytes) == decode(data) == value
    assert refused(data, str) == "argument: expected str, got bytes"
    assert "something follows" in refused(data + b"\x00", bytes)
    assert refused(data[:-1], bytes)
    for head in (b"\x5a\x00\x10\x00\x00", b"\x5b\x00\x00\x00\x00\x00\x10\x00\x00"):
        assert decode(head + value, bytes) == value
    assert _codec.encode("raw", value, Shape(bytes), "encode the result") is value


def test_head_sizes() -> None:
    from procpool._cbor import _head

    for n in (0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1):
        assert _head(0, n) == cbor2.dumps(n)


def test_numbers_of_every_width_are_read_alone_and_in_a_list() -> None:
    for data in [
        b"\x18\x05",
        b"\x19\x00\x05",
        b"\x1a" + struct.pack(">I", 5),
        b"\x1b" + bytes(7) + b"\x05",
    ]:
        assert decode(data, int) == 5
        assert decode(b"\x81" + data, list[int]) == [5]
        assert refused(data[:-1])
        assert refused(data + b"\x00")
