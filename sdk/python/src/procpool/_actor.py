"""Actors: classes whose instances stay in a worker, and the decorators that make them."""

from __future__ import annotations

import sys
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from . import _function, _shape
from ._task import ACTOR, ATTRIBUTE, CODECS, Task, check_name, register
from ._task import of as task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._shape import Signature
    from ._task import Errors

C = TypeVar("C", bound="type[Any]")
F = TypeVar("F", bound="Callable[..., Any]")
_MARK = "__procpool_method__"


class Mark:
    """What @procpool.method notes on a function, for the actor that it will be of."""

    def __init__(
        self, function: Callable[..., Any], name: str, codecs: Iterable[str] | None, errors: Errors
    ) -> None:
        self.function, self.name, self.codecs, self.errors = function, name, codecs, errors
        #: The methods that it has become: classes that are derived from another have its methods.
        self.of: dict[str, Method] = {}  # by the actor's name

    @property
    def place(self) -> str:
        """Where it is, for people."""
        code = self.function.__code__
        return f"{self.function.__qualname__} in {code.co_filename}, line {code.co_firstlineno}"


_loose: list[Mark] = []  # whose class is no actor, so far


class Method(Task):
    """A method of an actor: a task whose function has to be bound to a state."""

    def __init__(self, actor: Actor, attribute: str, mark: Mark) -> None:
        codecs = actor.wanted_codecs if mark.codecs is None else mark.codecs
        # Its own come first, since the first that fits counts.
        errors = {**mark.errors, **{k: v for k, v in actor.errors.items() if k not in mark.errors}}
        function = getattr(actor.cls, attribute)
        super().__init__(ACTOR, f"{actor.name}.{mark.name}", function, codecs, errors)
        self.method, self._attribute = mark.name, attribute

    def _signature(self) -> Signature:
        return _shape.signature(self._original, "method", skip=1)

    def of(self, state: object) -> Task:
        """Return the task that runs the method of this state."""
        run = self._taking_argument(getattr(state, self._attribute))
        bound = copy(self)
        bound.function = run
        return bound


class Actor(Task):
    """A class whose instances live in workers under numbers. Its function makes the state."""

    methods: list[Method]

    def __init__(
        self, name: str, cls: type, codecs: Iterable[str], errors: Errors | None, origin: Any
    ) -> None:
        super().__init__(ACTOR, name, _init_of(cls), codecs, errors)
        self.cls = cls
        self.doc = _function.doc(cls)
        self.origin = origin
        if self.is_async:
            raise TypeError(
                f"procpool: {cls.__qualname__}.__init__ is async, and opening an actor is not: "
                "have its first method make what has to be awaited"
            )
        self.methods = _methods(self)
        self.closes, self.close_is_async = _check_close(cls)

    def _read_hints(self) -> None:
        for method in self.methods:
            _ = method.input_shape
        self._original = _init_of(self.cls)  # which a decorator above may have made
        super()._read_hints()
        self.output = ""  # it stays here
        self.function = self._taking_argument(self.cls)

    def _signature(self) -> Signature:
        return _shape.signature(self._original, ACTOR, skip=1)


def _init_of(cls: Any) -> Callable[..., Any]:
    """Return the function that takes a class's opening argument."""
    init = cls.__init__
    return init if hasattr(init, "__code__") else _without_argument


def _without_argument(self: object) -> None:
    """Stand for the __init__ of a class that has none."""


def _methods(actor: Actor) -> list[Method]:
    """Make the methods of a class, in the order in which they were defined."""
    cls = actor.cls
    marks: dict[str, Mark] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            # A static method or a property can't be one, and is told below.
            inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            mark = getattr(inner, _MARK, None)
            if isinstance(mark, Mark):
                marks[attribute] = mark
            elif hasattr(value, "__code__") and ATTRIBUTE in vars(value):
                raise TypeError(
                    f"procpool: {cls.__qualname__}.{attribute} is a task, and in an actor it is to "
                    "be a method: decorate it with @procpool.method"
                )
    methods: dict[str, Method] = {}
    for attribute, mark in marks.items():
        _check_place(cls, attribute)
        if mark.name in methods:
            other = methods[mark.name].origin
            raise ValueError(
                f"procpool: the actor {actor.name!r} has two methods of the name {mark.name!r}: "
                f"in {other[0]}, line {other[1]}, and {mark.place}"
            )
        methods[mark.name] = mark.of[actor.name] = Method(actor, attribute, mark)
        # Where a derived class has its own, callers may name the method by either.
        setattr(getattr(cls, attribute), _MARK, mark)
    _loose[:] = [mark for mark in _loose if mark not in marks.values()]
    for mark in _loose:
        function = mark.function
        place = function.__module__, function.__qualname__.rpartition(".")[0]
        if place == (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"procpool: the method {mark.place}, is not what the class has under that name: "
                "another definition, or a decorator, hides it; give each method a name of its own"
            )
    if not methods:
        raise TypeError(
            f"procpool: the actor {actor.name!r} has no methods: decorate those that callers may "
            "use with @procpool.method"
        )
    return list(methods.values())


def _check_place(cls: type, attribute: str) -> None:
    """Raise a sentence where an attribute that is marked can't be a method."""
    what = f"procpool: {cls.__qualname__}.{attribute}"
    if attribute == "__init__":
        raise TypeError(f"{what} opens the actor and can't be a method: leave out the decorator")
    if attribute == "close":
        raise TypeError(
            f"{what} is called when the actor ends and can't be a method as well: leave out the "
            "decorator, or give it another name"
        )
    function = next(vars(base)[attribute] for base in cls.__mro__ if attribute in vars(base))
    if not hasattr(function, "__code__"):
        raise TypeError(
            f"{what} can't be a method of an actor, since it is a {type(function).__name__}: make "
            "it a function that takes self"
        )
    code = function.__code__
    if not code.co_argcount and not code.co_flags & _function.VARARGS:
        raise TypeError(f"{what} can't be a method: its first parameter has to be self")


def _check_close(cls: Any) -> tuple[bool, bool]:
    """Return whether there is a close, and whether it is async; TypeError if it can't be one."""
    close = getattr(cls, "close", None)
    if close is None:
        return False, False
    what = f"procpool: {cls.__qualname__}.close is called without arguments when the actor ends"
    if not callable(close):
        raise TypeError(f"{what}, and is a {type(close).__name__}: give it another name")
    if not hasattr(close, "__code__"):  # it is written in C
        return True, False
    if reason := _function.why_not(close, 0, skip=1):
        raise TypeError(f"{what} and can't be: {reason}")
    if _function.is_generator(close):
        raise TypeError(f"{what}, and is a generator, which would do nothing")
    return True, _function.is_async(close)


def of(cls: object) -> Actor:
    """Return the actor that a decorated class is; TypeError if it is none."""
    if isinstance(vars(type(cls)).get(ATTRIBUTE), Actor):
        name = type(cls).__qualname__
        raise TypeError(
            f"procpool: an actor is made in a process of its own, of its class and an argument, as "
            f"in spawn({name}, 7), and this is a {name} that is here already"
        )
    found = task_of(cls)
    if not isinstance(found, Actor):
        raise TypeError(f"procpool: {found.name!r} is a {found.kind}, and no actor to be spawned")
    return found


def method_of(function: object, actor: str) -> Method:
    """Return the method of an actor that a decorated function is; TypeError if it is none."""
    mark = getattr(function, _MARK, None)
    if not isinstance(mark, Mark):
        raise TypeError(
            f"procpool: {function!r} is no method of an actor: decorate it with @procpool.method, "
            "or give its name"
        )
    if not mark.of:
        raise TypeError(
            f"procpool: the class of {mark.place}, is no actor: decorate it with @procpool.actor"
        )
    if actor not in mark.of:
        actors = " and ".join(map(repr, mark.of))
        raise TypeError(
            f"procpool: {mark.name!r} is a method of the actor {actors}, and was called of an "
            f"actor {actor!r}"
        )
    return mark.of[actor]


def loose() -> list[str]:
    """Return a sentence for each method whose class is no actor."""
    return [
        f"procpool: the method {mark.place}, is served by nobody: its class is no actor, "
        "decorate it with @procpool.actor"
        for mark in _loose
    ]


def actor(
    name: str | None = None, *, codecs: Iterable[str] = CODECS, errors: Errors | None = None
) -> Callable[[C], C]:
    """Make a class an actor: its instances stay in a worker and are worked with by calls.

    name is what callers use, the class's own unless given. ``__init__`` takes the argument
    with which an actor is opened, or none; it runs in the actor's process. What callers may
    use is decorated with ``@procpool.method()``. ``close``, if there is one, is called when
    the actor is ended, and may be ``async def``; a process that dies or is killed does not.
    codecs and errors are as those of task, and hold for the methods, too.

    The class itself is returned and can be used as before.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError('procpool: write @procpool.actor() or @procpool.actor("name")')
    caller = sys._getframe(1)
    origin = caller.f_code.co_filename, caller.f_lineno

    def decorate(cls: C) -> C:
        if not isinstance(cls, type):
            raise TypeError(
                f"procpool: {cls!r} is no class and can't be an actor: make a function a task, "
                "with @procpool.task"
            )
        made = Actor(cls.__name__ if name is None else name, cls, codecs, errors, origin)
        register(made)
        setattr(cls, ATTRIBUTE, made)
        return cls

    return decorate


def method(
    name: str | None = None,
    *,
    codecs: Iterable[str] | None = None,
    errors: Errors | None = None,
) -> Callable[[F], F]:
    """Make a function of a class a method of the actor that the class is.

    It takes self and one argument, or none, and returns the result; it may be ``async
    def``. name is what callers use, the function's own unless given; codecs and errors are
    the actor's unless given, and errors come on top of those. The calls of an actor run one
    at a time, in the order in which they were made.

    The function itself is returned and can be called as before.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError('procpool: write @procpool.method() or @procpool.method("name")')

    def decorate(function: F) -> F:
        if not hasattr(function, "__code__"):
            raise TypeError(
                f"procpool: {function!r} can't be a method of an actor: decorate a function that "
                "takes self"
            )
        owner = function.__qualname__.rpartition(".")[0]
        if not owner or owner.endswith("<locals>"):
            raise TypeError(
                f"procpool: {function.__qualname__} is in no class and can't be a method of an "
                "actor: make it a task, with @procpool.task"
            )
        if name is None and function.__name__ == "<lambda>":
            raise ValueError("procpool: a lambda has no name: give the method one")
        mark = Mark(function, function.__name__ if name is None else name, codecs, errors or {})
        check_name("method", mark.name)
        _loose.append(mark)
        setattr(function, _MARK, mark)
        return function

    return decorate
