"""What a task's function takes and returns, by its type hints."""

from __future__ import annotations

import typing
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _convert, _function, _hints

if TYPE_CHECKING:
    from collections.abc import Callable


class Shape:
    """What one type hint says: its text, and how a decoded value becomes one of it."""

    def __init__(self, hint: Any) -> None:
        self.hint = _hints.unwrap(hint)
        self.text = _hints.text(hint)
        #: A value of just this type needs no conversion.
        self.exact: type | None = self.hint if self.hint in _convert.SCALARS else None

    @cached_property
    def from_cbor(self) -> _convert.Converter:
        """Make a value of what CBOR decodes to; raises Misfit."""
        return _convert.Compiler(json=False).of(self.hint)

    @cached_property
    def from_json(self) -> _convert.Converter:
        """Make a value of what JSON decodes to; raises Misfit."""
        return _convert.Compiler(json=True).of(self.hint)

    @cached_property
    def from_buffer(self) -> Callable[[memoryview], Any] | None:
        """Make a value of a string of bytes, without a copy if the type permits it.

        None where values are no bytes.
        """
        return _convert.from_buffer(self.hint)

    @cached_property
    def plain(self) -> bool:
        """Whether such values are made of what the codecs know by themselves."""
        return _convert.is_plain(self.hint)


class Signature(NamedTuple):
    """The hints of a task's function."""

    input: Shape
    output: Shape
    receives: Shape | None
    takes_argument: bool


def signature(function: Callable[..., Any], kind: str, skip: int = 0) -> Signature:
    """Read the hints of a function that is to be a task; TypeError if it can't be one.

    skip is how many parameters are not the caller's to give: 1 for a method's self.
    """
    name = function.__qualname__
    parameters = _function.parameters(function, skip)
    wanted = 2 if kind == "session" else min(len(parameters), 1)
    if reason := _function.why_not(function, wanted, skip):
        takes = "the argument and the received values" if kind == "session" else "one argument"
        raise TypeError(
            f"procpool: the {kind} {name} is called with {takes} and can't be: {reason}"
        )
    hints = _resolve(function, name)
    found = [hints.get(parameter, Any) for parameter in parameters[:wanted]]
    output = hints.get("return", Any)
    result = Signature(
        input=Shape(found[0] if found else Any),
        output=Shape(_item(output) if kind in ("stream", "session") else output),
        receives=Shape(_item(found[1])) if kind == "session" else None,
        takes_argument=bool(found),
    )
    for shape in (result.input, result.receives):
        if shape is not None:
            try:
                _ = shape.from_cbor
            except TypeError as error:
                raise TypeError(f"procpool: the {kind} {name}: {error}") from None
    return result


def _resolve(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return _hints.resolve(function)
    except NameError as error:
        raise TypeError(
            f"procpool: a type hint of {name} can't be read: {error}. Import the name where it is "
            "there at run time, not under TYPE_CHECKING, or leave the hint out"
        ) from None


def _item(hint: Any) -> Any:
    """Return of what type the items of an iterable hint are."""
    arguments = typing.get_args(hint)
    return arguments[0] if arguments else Any
