"""What can be known of a function without the module inspect, which takes long to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

VARARGS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x20, 0x80, 0x200  # of co_flags


def is_coroutine(function: Callable[..., Any]) -> bool:
    """Tell whether it is made by async def, and no generator."""
    return bool(function.__code__.co_flags & _COROUTINE)


def is_generator(function: Callable[..., Any]) -> bool:
    """Tell whether it yields, async or not."""
    return bool(function.__code__.co_flags & (_GENERATOR | _ASYNC_GENERATOR))


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether it is made by async def."""
    return bool(function.__code__.co_flags & (_COROUTINE | _ASYNC_GENERATOR))


def doc(function: Any) -> str:
    """Return the docstring of a function or a class without the indentation of the source."""
    first, _, rest = (function.__doc__ or "").expandtabs().strip().partition("\n")
    lines = rest.splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join([first, *(line[margin:] for line in lines)]).rstrip()


def parameters(function: Callable[..., Any], skip: int = 0) -> list[str]:
    """Return the names of the parameters that can be given by position, behind the first skip.

    Of a function that functools.wraps has made they are those of what it wraps.
    """
    code = _inner(function).__code__
    return list(code.co_varnames[skip : code.co_argcount])


def why_not(function: Callable[..., Any], count: int, skip: int = 0) -> str | None:
    """Return why it can't be called with so many arguments by position, None if it can.

    skip is how many parameters there are before them: 1 for a method's self.
    """
    function = _inner(function)
    code = function.__code__
    names = parameters(function, skip)
    required = names[: max(len(names) - len(function.__defaults__ or ()), 0)]
    if len(required) > count:
        return f"it needs {', '.join(required[count:])} as well"
    if len(names) < count and not code.co_flags & VARARGS:
        return f"it takes {len(names)}"
    by_name = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    missing = [name for name in by_name if name not in (function.__kwdefaults__ or ())]
    return f"it needs {', '.join(missing)} by name" if missing else None


def _inner(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function
