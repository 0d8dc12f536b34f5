"""The decorators of actors, and what is told of mistakes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest

import procpool
from procpool import _actor, _task


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task, "_tasks", {})
    monkeypatch.setattr(_actor, "_loose", [])


def test_the_class_stays_as_it_is() -> None:
    @procpool.actor("counter", errors={"odd": ValueError})
    class Counter:
        """Count.

        In a worker.
        """

        def __init__(self, start: int) -> None:
            self.total = start

        @procpool.method()
        def add(self, n: int) -> int:
            """Add."""
            self.total += n
            return self.total

        @procpool.method("value", codecs=("json",), errors={"key": KeyError, "odd": TypeError})
        async def get(self) -> list[int]:
            return [self.total]

    counter = Counter(3)
    assert counter.add(4) == 7
    made = _actor.of(Counter)
    assert _task.registered() == [made]
    assert (made.name, made.kind, made.is_async) == ("counter", "actor", False)
    assert (made.input, made.output, made.doc) == ("int", "", "Count.\n\nIn a worker.")
    assert (made.codecs, made.closes) == (("cbor", "json"), False)
    assert made.function(made.decode("cbor", b"\x05")).total == 5
    add, get = made.methods
    assert (add.name, add.method, add.input, add.output) == ("counter.add", "add", "int", "int")
    assert (add.doc, add.is_async, add.codecs) == ("Add.", False, ("cbor", "json"))
    assert add.errors == {"odd": ValueError}
    assert (get.name, get.method, get.output) == ("counter.value", "value", "list[int]")
    assert (get.doc, get.is_async, get.codecs) == ("", True, ("json",))
    assert get.errors == {"key": KeyError, "odd": TypeError}
    bound = add.of(counter)
    assert bound.encode("cbor", bound.function(bound.decode("cbor", b"\x01"))) == b"\x08"
    assert counter.total == 8
    assert _actor.method_of(Counter.add, "counter") is add
    assert _actor.method_of(counter.get, "counter") is get
    assert _actor.loose() == []


def test_a_class_without_an_argument() -> None:
    @procpool.actor()
    class Clock:
        @procpool.method()
        def now(self) -> float:
            return 1.5

        def close(self) -> None: ...

    made = _actor.of(Clock)
    assert (made.name, made.input, made.closes, made.close_is_async) == (
        "Clock",
        "Any",
        True,
        False,
    )
    for data in (b"", b"\xf6", b"anything"):
        state = made.function(made.decode("cbor", data))
        now = made.methods[0].of(state)
        assert now.function(now.decode("cbor", data)) == 1.5


@dataclass
class Point:
    """A place."""

    x: int
    y: int = 2

    @procpool.method()
    def add(self, n: int) -> int:
        return self.x + self.y + n


def test_a_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _actor.of(procpool.actor("point")(Point))
    assert made.input == "int"
    bound = made.methods[0].of(made.function(made.decode("cbor", b"\x05")))
    assert bound.function(1) == 8

    # The other way round: it has its __init__ later.
    @dataclass
    @procpool.actor("late")
    class Late:
        x: int

        @procpool.method()
        def get(self) -> int:
            return self.x

    made = _actor.of(Late)
    assert (made.input, made.function(made.decode("cbor", b"\x05")).x) == ("int", 5)


T = TypeVar("T")


def test_a_derived_class_has_the_methods_of_its_base() -> None:
    @procpool.actor("base")
    class Base(Generic[T]):
        @procpool.method()
        def first(self) -> str:
            return "base's"

        @procpool.method("other")
        def second(self, n: int) -> str:
            return f"base's {n}"

    class Undecorated(Base[int]): ...

    with pytest.raises(TypeError, match=r"is no task: decorate it with @procpool\.actor"):
        _actor.of(Undecorated)

    @procpool.actor("derived")
    class Derived(Base[int]):
        @procpool.method()
        def third(self) -> str:
            return "derived's"

        def second(self, n: bytes) -> str:  # type: ignore[override]
            return f"derived's {n!r}"

    base, derived = _actor.of(Base), _actor.of(Derived)
    assert [method.method for method in base.methods] == ["first", "other"]
    assert [method.method for method in derived.methods] == ["first", "other", "third"]
    assert [method.name for method in derived.methods][1] == "derived.other"
    assert (base.methods[1].input, derived.methods[1].input) == ("int", "bytes")
    assert derived.methods[1].of(Derived()).function(b"x") == "derived's b'x'"
    for function in (Base.second, Derived.second):
        assert _actor.method_of(function, "derived") is derived.methods[1]
        assert _actor.method_of(function, "base") is base.methods[1]
    with pytest.raises(TypeError, match="'third' is a method of the actor 'derived', and was"):
        _actor.method_of(Derived.third, "base")


def test_a_wrapped_method() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return -function(*args)

        return wrapper

    @procpool.actor()
    class Counter:
        @procpool.method()
        @logged
        def add(self, n: int) -> int:
            return n

        @logged
        @procpool.method()
        def more(self, n: int) -> int:
            return n

    made = _actor.of(Counter)
    assert [method.input for method in made.methods] == ["int", "int"]
    assert [method.of(Counter()).function(5) for method in made.methods] == [-5, -5]


def test_async_close() -> None:
    @procpool.actor()
    class Counter:
        @procpool.method()
        def add(self, n: int = 1) -> int:
            return n

        async def close(self, wait: bool = False) -> None: ...

    assert _actor.of(Counter).close_is_async


def _fine(self: Any, n: int) -> int:
    return n


def _plain(n: int) -> int:
    return n


class _Bare: ...


def _make(source: str) -> Any:
    """Return what runs the body of a class of which it is told what is wrong."""
    lines = ["import functools, procpool", *source.strip("\n").splitlines()]
    indent = len(lines[1]) - len(lines[1].lstrip())
    program = "\n".join([lines[0], *(line[indent:] for line in lines[1:])])
    return lambda: exec(compile(program, "sample.py", "exec"), {"__name__": "sample"})


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (lambda: procpool.actor(_Bare), TypeError, r"write @procpool.actor\(\) or @procpool"),  # type: ignore[arg-type]
        (lambda: procpool.method(_fine), TypeError, r"write @procpool.method\(\) or @procpool"),  # type: ignore[arg-type]
        (lambda: procpool.actor()(_plain), TypeError, "is no class and can't be an actor: make a"),  # type: ignore[type-var]
        (lambda: procpool.task()(_Bare), TypeError, "_Bare is a class: make it an actor, with"),
        (lambda: procpool.stream()(_Bare), TypeError, "_Bare is a class: make it an actor, with"),
        (lambda: procpool.actor()(_Bare), TypeError, "the actor '_Bare' has no methods: decorate"),
        (lambda: procpool.actor("a b")(Point), ValueError, "'a b' is no name for an actor"),
        (lambda: procpool.method()(_plain), TypeError, "_plain is in no class and can't be a"),
        (lambda: procpool.method()(len), TypeError, "can't be a method of an actor: decorate a"),
        (lambda: procpool.actor(codecs=("x",))(Point), ValueError, "name some of cbor, json, raw"),
        (lambda: procpool.actor(errors={"a": 5})(Point), TypeError, "each class of exceptions"),  # type: ignore[dict-item]
        (lambda: _actor.method_of(_plain, "a"), TypeError, "is no method of an actor: decorate it"),
        (
            _make("""
                class Counter:
                    @procpool.method("")
                    def add(self, n): ...
            """),
            ValueError,
            "'' is no name for a method: .* as in @procpool.method",
        ),
        (
            _make("""
                class Counter:
                    add = procpool.method()(lambda self, n: n)
            """),
            ValueError,
            "a lambda has no name: give the method one",
        ),
        (
            _make("""
                def make():
                    @procpool.method()
                    def add(n): ...
                make()
            """),
            TypeError,
            "add is in no class",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    def __init__(self, a, b): ...
                    @procpool.method()
                    def add(self): ...
                procpool._task.registered()
            """),
            TypeError,
            r"the actor Counter.__init__ is called with one argument and can't be: it needs b",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    async def __init__(self): ...
                    @procpool.method()
                    def add(self): ...
            """),
            TypeError,
            "Counter.__init__ is async, and opening an actor is not",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def __init__(self): ...
            """),
            TypeError,
            "Counter.__init__ opens the actor and can't be a method",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def close(self): ...
            """),
            TypeError,
            "Counter.close is called when the actor ends and can't be a method as well",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, n): ...
                    def close(self, how): ...
            """),
            TypeError,
            "close is called without arguments when the actor ends and can't be: it needs how",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    close = 5
                    @procpool.method()
                    def add(self, n): ...
            """),
            TypeError,
            "close is called without arguments when the actor ends, and is a int: give it another",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, n): ...
                    def close(self):
                        yield
            """),
            TypeError,
            "is a generator, which would do nothing",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, a, b): ...
                procpool._task.registered()
            """),
            TypeError,
            "the method Counter.add is called with one argument and can't be: it needs b as well",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, a: type): ...
                procpool._task.registered()
            """),
            TypeError,
            "the method Counter.add: no value that comes from outside can become a type",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(): ...
            """),
            TypeError,
            "Counter.add can't be a method: its first parameter has to be self",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, n):
                        yield n
            """),
            TypeError,
            "'Counter.add' is a generator, and a method returns one value",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.task()
                    def add(self, n): ...
            """),
            TypeError,
            "Counter.add is a task, and in an actor it is to be a method",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @staticmethod
                    @procpool.method()
                    def add(n): ...
            """),
            TypeError,
            "Counter.add can't be a method of an actor, since it is a staticmethod: make it a",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    @staticmethod
                    def add(n): ...
            """),
            TypeError,
            "can't be a method of an actor: decorate a function that takes self",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, n): ...
                    @procpool.method("add")
                    def add_too(self, n): ...
            """),
            ValueError,
            "two methods of the name 'add': in sample.py, line 4, and Counter.add_too in sample",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @procpool.method()
                    def add(self, n): ...
                    @procpool.method()
                    def add(self, n): ...
            """),
            ValueError,
            "the method Counter.add in sample.py, line 4, is not what the class has",
        ),
        (
            _make("""
                @procpool.actor()
                class Counter:
                    @property
                    @procpool.method()
                    def value(self): ...
            """),
            TypeError,
            "Counter.value can't be a method of an actor, since it is a property",
        ),
        (
            _make("""
                @procpool.task("counter")
                def count(n): ...
                @procpool.actor("counter")
                class Counter:
                    @procpool.method()
                    def add(self, n): ...
            """),
            ValueError,
            "two tasks of the name 'counter': in sample.py, line 2, and in sample.py, line 4",
        ),
        (
            _make("""
                class Counter:
                    @procpool.method()
                    def add(self, n): ...
                procpool._actor.method_of(Counter.add, "counter")
            """),
            TypeError,
            "the class of Counter.add in sample.py, line 3, is no actor: decorate it with",
        ),
        (
            _make("""
                @procpool.task()
                def count(n): ...
                procpool._actor.of(count)
            """),
            TypeError,
            "'count' is a function, and no actor to be spawned",
        ),
    ],
)
def test_mistakes_are_told(run: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        run()


def test_a_module_that_runs_twice() -> None:
    run = _make("""
        @procpool.actor()
        class Counter:
            @procpool.method()
            def add(self, n): ...
    """)
    run()
    run()
    assert [task.name for task in _task.registered()] == ["Counter"]
    assert _actor.loose() == []
