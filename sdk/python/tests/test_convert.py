"""Decoded values become what hints say, or are refused with a path."""

from __future__ import annotations

import collections
import collections.abc as abc
import datetime as dt
import decimal
import enum
import typing
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar

import pytest

from procpool._convert import Compiler, Misfit


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Shape:
    points: list[Point]
    name: str = ""
    tags: set[str] = field(default_factory=set)
    parent: Optional[Shape] = None  # noqa: UP045
    area: float = field(init=False, default=0.0)


@dataclass(frozen=True)
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError("not above zero")


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Options(TypedDict, total=False):
    dpi: int
    pages: list[int]


class Needed(TypedDict):
    dpi: int


UserId = NewType("UserId", int)
Item = TypeVar("Item")


@dataclass
class Box(typing.Generic[Item]):
    item: Item


def convert(hint: Any, value: Any, *, json: bool = False) -> Any:
    return Compiler(json=json).of(hint)(value)


UTC = dt.timezone.utc
MOMENT = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Any, [1, {"a": b""}], [1, {"a": b""}]),
        (int, 2**70, 2**70),
        (float, 1.5, 1.5),
        (float, 3, 3.0),
        (bool, True, True),
        (str, "é", "é"),
        (bytes, b"\xff", b"\xff"),
        (bytes, None, b""),
        (bytearray, b"a", bytearray(b"a")),
        (memoryview, b"a", memoryview(b"a")),
        (None, None, None),
        (None, {}, None),
        (UserId, 7, 7),
        (list[int], [1, 2], [1, 2]),
        (list[int], None, []),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list, [1, "a"], [1, "a"]),
        (abc.Sequence[int], (1, 2), [1, 2]),
        (list[list[int]], [[1], []], [[1], []]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[float, ...], [1], (1.0,)),
        (set[int], [1, 1, 2], {1, 2}),
        (frozenset[str], ["a"], frozenset("a")),
        (abc.Set[int], [1], {1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[int, list[int]], {1: [2]}, {1: [2]}),
        (abc.Mapping[str, Any], None, {}),
        (int | None, None, None),
        (int | None, 1, 1),
        (int | str, "a", "a"),
        (float | int, 1, 1),
        (float | str, 1, 1.0),
        (list[int] | None, None, None),
        (Point | str, {"x": 1}, Point(1.0)),
        (Color, "red", Color.RED),
        (Level, 1, Level.LOW),
        (Literal["a", 1], 1, 1),
        (Point, {"x": 1, "unknown": "passed over"}, Point(1.0)),
        (Pair, {"left": 1}, Pair(1)),
        (Pair, [1, "a"], Pair(1, "a")),
        (Options, {"pages": [1], "unknown": 1}, {"pages": [1]}),
        (Box[int], {"item": "whatever"}, Box("whatever")),
        (dt.datetime, MOMENT, MOMENT),
        (dt.datetime, "2024-05-06T07:08:09Z", MOMENT),
        (
            dt.datetime,
            "2024-05-06T09:08:09.123456789+02:00",
            MOMENT.replace(microsecond=123456).astimezone(dt.timezone(dt.timedelta(hours=2))),
        ),
        (dt.datetime, "2024-05-06T07:08:09.5Z", MOMENT.replace(microsecond=500000)),
        (dt.datetime, None, dt.datetime(1, 1, 1, tzinfo=UTC)),
        (dt.datetime | None, None, None),
        (dt.date, "2024-05-06", dt.date(2024, 5, 6)),
        (dt.timedelta, 1_500_000_000, dt.timedelta(seconds=1.5)),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (decimal.Decimal, 5, decimal.Decimal(5)),
        (uuid.UUID, bytes(16), uuid.UUID(int=0)),
        (uuid.UUID, str(uuid.UUID(int=5)), uuid.UUID(int=5)),
    ],
)
def test_becomes(hint: Any, value: Any, expected: Any) -> None:
    made = convert(hint, value)
    assert made == expected
    assert type(made) is type(expected)


def test_nested_and_recursive_dataclasses() -> None:
    value = {"points": [{"x": 1, "y": 2}], "parent": {"points": None, "tags": ["a", "b"]}}
    assert convert(Shape, value) == Shape([Point(1.0, 2.0)], parent=Shape([], tags={"a", "b"}))


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (int, 1.0, "v: expected int, got float"),
        (int, True, "v: expected int, got bool"),
        (int, None, "v: expected int, got None"),
        (bool, 1, "v: expected bool, got int"),
        (float, "1", "v: expected float, got str"),
        (float, True, "v: expected float, got bool"),
        (float, 10**400, "v: expected float, got an int that is too large for one"),
        (str, b"a", "v: expected str, got bytes"),
        (bytes, "a", "v: expected bytes, got str"),
        (None, 0, "v: expected None, got int"),
        (list[int], {}, "v: expected list, got dict"),
        (list[int], "ab", "v: expected list, got str"),
        (list[int], [1, "a"], "v[1]: expected int, got str"),
        (list[list[int]], [[], [1, 2, None]], "v[1][2]: expected int, got None"),
        (tuple[int, str], [1], "v: expected 2 items, got 1"),
        (tuple[int, str], [1, 2], "v[1]: expected str, got int"),
        (tuple[int, ...], [1, 2.5], "v[1]: expected int, got float"),
        (set[Any], [[]], "v: expected set: unhashable type: 'list'"),
        (dict[str, int], [], "v: expected dict, got list"),
        (dict[str, int], {"a": "b"}, "v['a']: expected int, got str"),
        (dict[str, int], {1: 1}, "v[key 1]: expected str, got int"),
        (int | str, 1.5, "v: expected int | str, got float"),
        (Point | None, {"x": ""}, "v.x: expected float, got str"),
        (Color, "green", "v: expected Color ('red', 'blue'), got 'green'"),
        (Literal["a", 1], True, "v: expected one of 'a', 1, got True"),
        (Point, {"X": 1}, "v: expected Point, got a map without 'x'; it has 'X'"),
        (Point, {}, "v: expected Point, got a map without 'x'; it has nothing"),
        (
            Shape,
            {"points": [{"x": 1}] * 3 + [{"x": "a"}]},
            "v.points[3].x: expected float, got str",
        ),
        (Shape, {"points": [], "parent": 5}, "v.parent: expected Shape, got int"),
        (dict[str, Point], {"p": {"x": {}}}, "v['p'].x: expected float, got dict"),
        (Positive, {"n": 0}, "v: Positive refuses it: ValueError: not above zero"),
        (Pair, {"right": "a"}, "v: expected Pair, got a map without 'left'; it has 'right'"),
        (Needed, {}, "v: expected Needed, got a map without 'dpi'; it has nothing"),
        (Options, {"dpi": "a"}, "v.dpi: expected int, got str"),
        (dt.datetime, "today", "v: expected datetime, got 'today'"),
        (dt.datetime, 5, "v: expected datetime, got int"),
        (decimal.Decimal, "x", "v: expected Decimal, got 'x'"),
        (uuid.UUID, b"short", "v: expected UUID, got b'short'"),
    ],
)
def test_is_refused(hint: Any, value: Any, message: str) -> None:
    with pytest.raises(Misfit) as caught:
        convert(hint, value)
    assert caught.value.tell("v").startswith(message)


def test_json_has_no_bytes_and_no_other_keys_than_text() -> None:
    assert convert(bytes, "AAE=", json=True) == b"\x00\x01"
    assert convert(list[bytes], ["AA=="], json=True) == [b"\x00"]
    assert convert(dict[int, str], {"-1": "a"}, json=True) == {-1: "a"}
    assert convert(dict[float, str], {"1.5": "a"}, json=True) == {1.5: "a"}
    assert convert(dict[bool, str], {"true": "a"}, json=True) == {True: "a"}
    for hint, value, message in [
        (bytes, "A", "v: expected bytes in base64"),
        (bytes, [0], "v: expected bytes, got list"),
        (dict[int, str], {"x": ""}, "v[key 'x']: expected int"),
        (dict[bool, str], {"True": ""}, "v[key 'True']: expected bool"),
    ]:
        with pytest.raises(Misfit) as caught:
            convert(hint, value, json=True)
        assert caught.value.tell("v").startswith(message)


def test_defaults_are_as_the_class_has_them() -> None:
    made = convert(Shape, {"points": []})
    assert made.tags is not convert(Shape, {"points": []}).tags


def test_a_value_is_not_changed_in_place() -> None:
    value = {"points": [{"x": 1}], "tags": ["a"]}
    convert(Shape, value)
    assert value == {"points": [{"x": 1}], "tags": ["a"]}


def test_other_modules_types_are_no_values() -> None:
    for hint in (collections.deque[int], complex, type, abc.Callable[[], int], range):
        with pytest.raises(TypeError, match="no value that comes from outside can become"):
            Compiler(json=False).of(hint)
