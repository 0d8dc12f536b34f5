"""Type hints: read, and written as text for descriptions.

The text is what a Python programmer would write: ``int``, ``list[int]``,
``dict[str, float]``, ``int | None``, the bare name of a class, ``numpy.ndarray[float64]``,
and ``Any`` where there is no hint.
"""

from __future__ import annotations

import collections.abc
import sys
import types
import typing
from typing import Any

_UNIONS = (typing.Union, types.UnionType)
# What is often imported for type checkers only, so that it is not there at run time.
_USUAL_NAMES = {
    name: getattr(module, name) for module in (typing, collections.abc) for name in module.__all__
}


def resolve(thing: Any) -> dict[str, Any]:
    """Return the hints of a function or class as types; NameError if one is not known."""
    try:
        return typing.get_type_hints(thing)
    except NameError:
        return typing.get_type_hints(thing, localns=_USUAL_NAMES)


def unwrap(hint: Any) -> Any:
    """Return the type that a hint stands for: without names, annotations and variables."""
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.TypeVar):
            hint = hint.__bound__ or Any
        elif _is_alias(hint):
            arguments = typing.get_args(hint)
            hint = hint.__value__[arguments] if arguments else hint.__value__
        elif hint is object:
            return Any
        elif hint is None:
            return type(None)
        else:
            return hint


def _is_alias(hint: Any) -> bool:
    """Tell whether the hint was made by a statement such as type Names = list[str]."""
    return hasattr(hint, "__value__") and hasattr(hint, "__type_params__")


def is_union(hint: Any) -> bool:
    """Tell whether the hint is Union, Optional, or made with |."""
    return typing.get_origin(hint) in _UNIONS


def dtype_of(hint: Any) -> Any:
    """Return the numpy.dtype that an array hint asks for, None for any."""
    for argument in typing.get_args(hint)[1:]:
        for scalar in typing.get_args(argument):
            # Only a concrete type has a name of its own: numpy.float64, not numpy.floating.
            if isinstance(scalar, type) and scalar in sys.modules["numpy"].sctypeDict.values():
                return sys.modules["numpy"].dtype(scalar)
    return None


def is_array(hint: Any) -> bool:
    """Tell whether the hint is numpy.ndarray, of whatever items."""
    numpy = sys.modules.get("numpy")  # without it there is no such hint
    return numpy is not None and numpy.ndarray in (hint, typing.get_origin(hint))


def text(hint: Any) -> str:
    """Write a hint as text."""
    return _text(hint, ())


def _text(hint: Any, within: tuple[Any, ...]) -> str:
    if _is_alias(hint):
        if hint in within:  # it is made of itself, as JSON's values are
            return str(hint.__name__)
        within += (hint,)
    hint = unwrap(hint)
    if hint is Any:
        return "Any"
    if hint is type(None):
        return "None"
    if hint is Ellipsis:
        return "..."
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if is_array(hint):
        dtype = dtype_of(hint)
        return f"numpy.ndarray[{dtype}]" if dtype is not None else "numpy.ndarray"
    texts = [_text(argument, within) for argument in arguments]
    if is_union(hint):
        return " | ".join(sorted(texts, key="None".__eq__))
    if origin is not None and texts:
        return f"{_text(origin, within)}[{', '.join(texts)}]"
    if isinstance(origin or hint, type):
        return str((origin or hint).__qualname__).rpartition("<locals>.")[2]
    return str(hint)
