"""Type hints as text."""

from __future__ import annotations

import collections.abc as abc
import datetime
import enum
import functools
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import numpy as np
import numpy.typing as npt
import pytest

from procpool import _convert, _hints, _shape, _task


class Color(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: float
    y: float = 0.0


UserId = NewType("UserId", int)
Bound = TypeVar("Bound", bound=float)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (float, "float"),
        (str, "str"),
        (bytes, "bytes"),
        (bool, "bool"),
        (None, "None"),
        (Any, "Any"),
        (object, "Any"),
        (list, "list"),
        (list[int], "list[int]"),
        (typing.List[int], "list[int]"),  # noqa: UP006
        (dict[str, list[float]], "dict[str, list[float]]"),
        (tuple[int, str], "tuple[int, str]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (set[str], "set[str]"),
        (abc.Sequence[int], "Sequence[int]"),
        (Optional[int], "int | None"),  # noqa: UP045
        (Union[None, int, str], "int | str | None"),  # noqa: UP007
        (int | None, "int | None"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, "years"], "int"),
        (UserId, "int"),
        (Bound, "float"),
        (Point, "Point"),
        (list[Point], "list[Point]"),
        (Color, "Color"),
        (datetime.datetime, "datetime"),
        (np.ndarray, "numpy.ndarray"),
        (npt.NDArray[np.float32], "numpy.ndarray[float32]"),
        (npt.NDArray[Any], "numpy.ndarray"),
        (npt.NDArray[np.floating[Any]], "numpy.ndarray"),
        (dict[str, npt.NDArray[np.uint8]], "dict[str, numpy.ndarray[uint8]]"),
    ],
)
def test_text(hint: object, text: str) -> None:
    assert _hints.text(hint) == text


def test_class_in_a_function_has_its_bare_name() -> None:
    @dataclass
    class Local:
        n: int

    assert _hints.text(Local) == "Local"


def describe(kind: str, function: Any) -> tuple[str, str, str]:
    made = _shape.signature(function, kind)
    return made.input.text, made.output.text, made.receives.text if made.receives else ""


def test_signatures() -> None:
    def square(n: int) -> int: ...  # type: ignore[empty-body]
    def bare(n): ...  # type: ignore[no-untyped-def]
    def now() -> float: ...  # type: ignore[empty-body]
    def more(n: int, verbose: bool = False) -> None: ...
    def count(n: int) -> abc.Iterator[str]: ...  # type: ignore[empty-body]
    async def acount(n: int) -> abc.AsyncGenerator[str, None]:
        yield ""

    def total(start: int, values: abc.Iterator[bytes]) -> abc.Generator[float, None, None]: ...  # type: ignore[empty-body]
    def untyped(start, values): ...  # type: ignore[no-untyped-def]

    assert describe("function", square) == ("int", "int", "")
    assert describe("function", bare) == ("Any", "Any", "")
    assert describe("function", now) == ("Any", "float", "")
    assert not _shape.signature(now, "function").takes_argument
    assert describe("function", more) == ("int", "None", "")
    assert describe("stream", count) == ("int", "str", "")
    assert describe("stream", acount) == ("int", "str", "")
    assert describe("session", total) == ("int", "float", "bytes")
    assert describe("session", untyped) == ("Any", "Any", "Any")


def test_a_function_that_is_wrapped() -> None:
    def half(n: int, by: int = 2) -> float:
        return n / by

    @functools.wraps(half)
    def wrapped(*arguments: Any, **named: Any) -> float:
        return half(*arguments, **named)

    assert describe("function", wrapped) == ("int", "float", "")


def test_hints_that_only_type_checkers_import() -> None:
    # As ruff and others have it: these names are not there when the program runs.
    space: dict[str, Any] = {}
    exec(
        "from __future__ import annotations\n"
        "def count(n: int) -> Iterator[Mapping[str, int]]: ...\n"
        "def gone(n: Elsewhere) -> int: ...\n",
        space,
    )
    assert describe("stream", space["count"]) == ("int", "Mapping[str, int]", "")
    with pytest.raises(TypeError, match=r"a type hint of gone can't be read.*'Elsewhere'"):
        _shape.signature(space["gone"], "function")


def test_hint_of_what_is_defined_further_down() -> None:
    space: dict[str, Any] = {"__name__": "later"}
    exec(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from procpool import _task\n"
        "def use(p: Later) -> int: ...\n"
        "made = _task.Task('function', 'use', use)\n"
        "class Later:\n"
        "    pass\n"
        "Later = dict[str, int]\n",
        space,
    )
    assert space["made"].input == "dict[str, int]"


@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        (
            "function",
            "def f(a, b, c=1): ...",
            r"the function f is called with one argument and .*b",
        ),
        ("function", "def f(a, *, b, c=1): ...", r"can't be: it needs b by name$"),
        (
            "session",
            "def f(a): ...",
            r"the argument and the received values and can't be: it takes 1",
        ),
        ("session", "def f(a, b, c, d): ...", r"can't be: it needs c, d as well"),
        ("function", "def f(a: type): ...", r"the function f: no value .* can become a type"),
        ("function", "def f(a: list[type]): ...", r"can become a type; use a dataclass"),
    ],
)
def test_functions_that_can_be_no_task(kind: str, source: str, message: str) -> None:
    space: dict[str, Any] = {}
    exec(source, space)
    with pytest.raises(TypeError, match=message):
        _shape.signature(space["f"], kind)


def test_fields_that_can_be_no_values() -> None:
    @dataclass
    class Bad:
        n: int
        handler: abc.Callable[[int], int]

    def f(a: Bad) -> None: ...

    f.__annotations__["a"] = Bad
    with pytest.raises(TypeError, match=r"Bad\.handler: no value that comes from outside"):
        _shape.signature(f, "function")


def test_task_reads_hints_once_and_forwards_errors() -> None:
    def f(a: type) -> None: ...

    made = _task.Task("function", "f", f)
    for _ in range(2):
        with pytest.raises(TypeError, match="no value that comes from outside"):
            _ = made.input


@pytest.mark.skipif("sys.version_info < (3, 12)", reason="the statement is Python 3.12's")
def test_aliases() -> None:
    space: dict[str, Any] = {}
    exec(
        "type Names = list[str]\ntype ByName[T] = dict[str, T]\ntype Tree = list[Tree] | int\n",
        space,
    )
    assert _hints.text(space["Names"]) == "list[str]"
    assert _hints.text(space["ByName"][int] | None) == "dict[str, int] | None"
    assert _hints.text(space["Tree"]) == "list[Tree] | int"
    convert = _convert.Compiler(json=False).of(space["Tree"])
    assert convert([1, [2, [3]]]) == [1, [2, [3]]]
    with pytest.raises(_convert.Misfit, match="expected"):
        convert([1, ["a"]])
