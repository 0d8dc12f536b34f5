"""Decorators, the registry, and what a task encodes and decodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

import procpool
from procpool import _task
from procpool._failure import CodecFailure


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, empty in (("_tasks", {}), ("initializers", []), ("finalizers", [])):
        monkeypatch.setattr(_task, name, empty)


def test_decorators_return_the_function() -> None:
    @procpool.task("square")
    def square(n: int) -> int:
        """Square a number.

        Of any size.
        """
        return n * n

    assert square(7) == 49
    made = _task.of(square)
    assert (made.name, made.kind, made.is_async) == ("square", "function", False)
    assert (made.input, made.output, made.receives) == ("int", "int", "")
    assert made.doc == "Square a number.\n\nOf any size."
    assert made.codecs == ("cbor", "json")
    assert made.function(7) == 49
    assert repr(made) == "<procpool function 'square'>"
    assert _task.registered() == [made]


def test_kinds() -> None:
    @procpool.task()
    async def one(n: int) -> int:
        return n

    @procpool.stream()
    def some(n: int) -> Iterator[str]:
        yield str(n)

    @procpool.stream()
    def listed(n: int) -> list[int]:
        return [n]

    @procpool.stream()
    async def many(n: int) -> AsyncIterator[str]:
        yield str(n)

    @procpool.session("talk")
    def total(start: float, values: Iterator[int]) -> Iterator[float]:
        yield start + sum(values)

    made = _task.registered()
    assert [task.name for task in made] == ["one", "some", "listed", "many", "talk"]
    assert [task.kind for task in made] == ["function", *["stream"] * 3, "session"]
    assert [task.is_async for task in made] == [True, False, False, True, False]
    assert [task.output for task in made] == ["int", "str", "int", "str", "float"]
    assert made[4].receives == "int"
    assert list(made[4].function(0.5, iter([1, 2]))) == [3.5]


def test_a_function_without_a_parameter() -> None:
    @procpool.task()
    def now() -> float:
        return 1.5

    made = _task.of(now)
    assert made.input == "Any"
    for data in (b"", b"\xf6", b"anything"):
        assert made.function(made.decode("cbor", data)) == 1.5


def test_encode_and_decode() -> None:
    @procpool.session(codecs=("json",))
    def talk(start: int, values: Iterator[str]) -> Iterator[list[int]]:
        yield []

    made = _task.of(talk)
    assert made.decode("json", b"5") == 5
    assert made.decode_received("json", b'"a"') == "a"
    assert made.encode("json", [1, 2]) == b"[1,2]"
    for run, op in [
        (partial(made.decode, "json", b"[]"), "decode the argument"),
        (partial(made.decode, "cbor", b"\x05"), "decode the argument"),
        (partial(made.decode_received, "json", b"1"), "decode a received value"),
        (partial(made.decode_received, "cbor", b"1"), "decode a received value"),
        (partial(made.encode, "json", print), "encode a value"),
        (partial(made.encode, "cbor", 1), "encode a value"),
    ]:
        with pytest.raises(CodecFailure) as caught:
            run()
        assert caught.value.op == op
    assert str(caught.value) == "the task's codecs are json"


def test_bytes_may_be_raw() -> None:
    @procpool.task()
    def turn(data: bytes) -> memoryview:
        return memoryview(data)[::-1]

    @procpool.task()
    def length(data: bytes) -> int:
        return len(data)

    @procpool.task(codecs=("raw",))
    def only(data: bytes) -> bytes:
        return data

    assert _task.of(turn).codecs == ("cbor", "json", "raw")
    assert _task.of(length).codecs == ("cbor", "json")
    assert _task.of(only).codecs == ("raw",)
    made = _task.of(turn)
    encoded = made.encode("raw", made.function(made.decode("raw", b"abc")))
    assert b"".join(encoded) == b"cba"  # type: ignore[arg-type]
    with pytest.raises(CodecFailure, match="the task's codecs are raw"):
        _task.of(only).decode("cbor", b"\x40")


def _generator(n: int) -> Iterator[int]:
    yield n


async def _coroutine(n: int) -> int:
    return n


def _plain(n: int) -> int:
    return n


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (lambda: procpool.task(_plain), TypeError, r"write @procpool.task\(\)"),  # type: ignore[arg-type]
        (lambda: procpool.stream(_generator), TypeError, r"write @procpool.stream\(\)"),  # type: ignore[arg-type]
        (lambda: procpool.task("")(_plain), ValueError, "no name for a task"),
        (lambda: procpool.task("a b")(_plain), ValueError, "'a b' is no name for a task"),
        (lambda: procpool.task("a\n")(_plain), ValueError, "no name for a task"),
        (lambda: procpool.task()(lambda n: n), ValueError, "a lambda has no name"),
        (lambda: procpool.task()(_generator), TypeError, "'_generator' is a generator: make it a"),
        (lambda: procpool.stream()(_coroutine), TypeError, "is async and yields nothing"),
        (lambda: procpool.session()(_coroutine), TypeError, "is async and yields nothing"),
        (lambda: procpool.task(codecs=())(_plain), ValueError, "name some of cbor, json, raw"),
        (lambda: procpool.task(codecs=("pickle",))(_plain), ValueError, "name some of cbor"),
        (lambda: procpool.task(errors={"a": 5})(_plain), TypeError, "each class of exceptions"),  # type: ignore[dict-item]
        (lambda: procpool.task(errors={"": KeyError})(_plain), TypeError, "each class of"),
        (lambda: procpool.task("len")(len), TypeError, "can't be a task: wrap it in a def"),
        (lambda: _task.of(_plain), TypeError, "is no task: decorate it with @procpool.task"),
    ],
)
def test_mistakes_are_told(run: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        run()
    assert _task.registered() == []


def test_a_lambda_with_a_name_is_fine() -> None:
    procpool.task("double")(lambda n: 2 * n)
    assert _task.registered()[0].function(2) == 4


def test_two_of_a_name() -> None:
    procpool.task("plain")(_plain)
    with pytest.raises(ValueError, match=r"there are two tasks of the name 'plain': in .*, line"):
        procpool.task("plain")(_coroutine)


def test_a_module_that_runs_twice() -> None:
    source = compile(
        "import procpool\n@procpool.task()\ndef one(n: int) -> int:\n    return n\n", "w.py", "exec"
    )
    for _ in range(2):
        space: dict[str, Any] = {}
        exec(source, space)
    assert [task.name for task in _task.registered()] == ["one"]
    assert _task.registered()[0] is _task.of(space["one"])


def test_hints_that_can_be_no_values_are_told_with_the_task() -> None:
    @procpool.task()
    def bad(n: type) -> int:
        return 0

    with pytest.raises(TypeError, match=r"the function .*bad: no value that comes from outside"):
        _task.registered()


def test_hooks() -> None:
    @procpool.initializer
    def begin() -> None: ...

    @procpool.initializer
    async def later() -> None: ...

    @procpool.finalizer
    def end() -> None: ...

    assert _task.initializers == [(begin, False), (later, True)]
    assert _task.finalizers == [(end, False)]
