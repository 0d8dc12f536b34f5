"""Values become what a codec knows by itself: numbers, text, bytes, lists and maps."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ._convert import Misfit

_DEPTH = 64  # what a Go host takes of CBOR
_TEXT = frozenset((str,))
# What is written as the text that it is made of, by module and name.
_TEXTS = (("decimal", "Decimal"), ("uuid", "UUID"), ("procpool", "Ref"))


class Plainer:
    """Makes values plain for one codec."""

    def __init__(
        self,
        *,
        atoms: Iterable[type],
        binary: Callable[[Any], Any],
        array: Callable[[Any], Any],
        moment: Callable[[Any], Any],
    ) -> None:
        """Take the types that pass as they are, and what becomes of others.

        These are bytes, bytearray and memoryview; numpy arrays; and datetimes.
        """
        self._atoms = tuple(atoms)
        self._atom_set = frozenset(self._atoms)
        self._binary, self._array, self._moment = binary, array, moment
        self._known: dict[type, Callable[[Any, int], Any]] = {}

    def __call__(self, value: Any, depth: int = _DEPTH) -> Any:
        """Return the plain form of a value; raises Misfit for one that has none.

        The value itself is left as it is; parts of it may be in what is returned.
        """
        kind = type(value)
        if kind in self._atom_set:
            return value
        make = self._known.get(kind)
        if make is None:
            make = self._known[kind] = self._find(kind)
        return make(value, depth)

    def _find(self, kind: type) -> Callable[[Any, int], Any]:
        """Choose by type; what comes first counts."""
        if hasattr(kind, "__dataclass_fields__"):
            names = [field.name for field in sys.modules["dataclasses"].fields(kind)]
            return lambda value, depth: self._record(value, names, depth)
        make = self._simpler(kind)
        if make is not None:
            return lambda value, depth: self(make(value), depth)
        if issubclass(kind, Mapping):
            return self._map
        if issubclass(kind, Collection):
            return self._list
        raise Misfit(
            f"a {kind.__module__}.{kind.__qualname__} can't cross to another process; "
            "use a dataclass, or what Python has built in"
        )

    def _simpler(self, kind: type) -> Callable[[Any], Any] | None:
        """Return what makes something of a simpler type of a value."""
        if issubclass(kind, enum.Enum):
            return lambda value: value.value
        if issubclass(kind, (bytes, bytearray, memoryview)):
            return self._binary
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.ndarray):
            return self._array
        if numpy is not None and issubclass(kind, numpy.generic):
            return _number
        for atom in self._atoms:  # a subclass of int, str...
            if issubclass(kind, atom):
                return atom
        datetime = sys.modules.get("datetime")
        if datetime is not None:
            if issubclass(kind, datetime.datetime):
                return self._moment
            if issubclass(kind, (datetime.date, datetime.time)):
                return lambda value: value.isoformat()
            if issubclass(kind, datetime.timedelta):
                return _nanoseconds
        if issubclass(kind, os.PathLike):
            return os.fspath
        if (kind.__module__, kind.__name__) in _TEXTS:
            return str
        return None

    def _list(self, value: Collection[Any], depth: int) -> Any:
        _check(depth)
        if type(value) in (list, tuple) and self._atom_set.issuperset(map(type, value)):
            return value
        made: list[Any] = []
        try:
            for item in value:
                made.append(self(item, depth - 1))
        except Misfit as error:
            raise error.inside(f"[{len(made)}]") from None
        return made

    def _map(self, value: Mapping[Any, Any], depth: int) -> Any:
        _check(depth)
        if type(value) is dict:
            flat = self._atom_set.issuperset(map(type, value.values()))
            if flat and _TEXT.issuperset(map(type, value)):
                return value
        made = {}
        for key, item in value.items():
            try:
                name = self(key, depth - 1)
                made[tuple(name) if type(name) is list else name] = self(item, depth - 1)
            except Misfit as error:
                raise error.inside(f"[{key!r}]") from None
        if len(made) != len(value):
            raise Misfit("two keys of a map become the same")
        return made

    def _record(self, value: Any, names: list[str], depth: int) -> Any:
        _check(depth)
        made = {}
        for name in names:
            try:
                made[name] = self(getattr(value, name), depth - 1)
            except Misfit as error:
                raise error.inside("." + name) from None
        return made


def _check(depth: int) -> None:
    if depth <= 0:
        raise Misfit(f"nested deeper than {_DEPTH}, or within itself")


def _number(scalar: Any) -> Any:
    value = scalar.item()
    if type(value) is type(scalar):  # a longdouble
        raise Misfit(f"a numpy.{type(scalar).__name__} can't cross to another process")
    return value


def moment(value: Any) -> str:
    """Write a datetime by RFC 3339."""
    if value.tzinfo is None:
        raise Misfit("a datetime without a time zone; add one, such as datetime.timezone.utc")
    text: str = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _nanoseconds(value: Any) -> int:
    nanoseconds: int = value // type(value)(microseconds=1) * 1000
    return nanoseconds  # as Go writes a time.Duration
