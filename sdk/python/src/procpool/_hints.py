"""Type hints: as text for descriptions, and as what decoded values are checked against."""

from __future__ import annotations

import inspect
import typing
from typing import Any, NamedTuple

if typing.TYPE_CHECKING:
    from collections.abc import Callable


class Shape:
    """What a type hint says: its text, and how a decoded value becomes one of it."""

    def __init__(self, hint: Any) -> None:
        self.hint = hint
        self.text = getattr(hint, "__name__", None) or str(hint)


class Signature(NamedTuple):
    """The hints of a task's function."""

    takes_argument: bool
    input: Shape
    output: Shape
    receives: Shape | None


def signature(function: Callable[..., Any], kind: str) -> Signature:
    """Read the hints of a task's function."""
    parameters = list(inspect.signature(function).parameters)
    hints = typing.get_type_hints(function)
    found = [Shape(hints.get(name, Any)) for name in parameters]
    output = hints.get("return", Any)
    if kind != "function":
        output = (typing.get_args(output) or (Any,))[0]
    receives = None
    if kind == "session":
        receives = Shape((typing.get_args(found[1].hint) or (Any,))[0])
    return Signature(bool(found), found[0] if found else Shape(Any), Shape(output), receives)
