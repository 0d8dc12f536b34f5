"""Decoded values become what a type hint asks for, or are refused.

A hint is compiled once into a function. The rules: an int may become a float and
nothing else is guessed; a dataclass, a NamedTuple and a TypedDict come from a map, and
names that they don't know are passed over; null is also an empty list, set, map or
bytes, and the first moment of the year 1, since that is what Go's nil slices and maps and
its zero time are written as.
"""

from __future__ import annotations

import collections.abc
import enum
import sys
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

from . import _arrays, _hints

Converter: TypeAlias = Callable[[Any], Any]

SCALARS = (int, float, str, bool, bytes)
_LISTS = (
    *(list, collections.abc.Sequence, collections.abc.MutableSequence),
    *(collections.abc.Collection, collections.abc.Iterable),
)
_SETS = (set, collections.abc.Set, collections.abc.MutableSet)
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class Misfit(Exception):
    """A value is not of the type that it should be of."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self._path = ""

    def inside(self, part: str) -> Misfit:
        """Note in what part of a value the misfit is: ".name" or "[3]"."""
        self._path = part + self._path
        return self

    def tell(self, root: str) -> str:
        """Return where it is and what is wrong."""
        return f"{root}{self._path}: {self.reason}"


def misfit(expected: str, value: Any) -> Misfit:
    """Make the misfit of a value that is of another type."""
    return Misfit(f"expected {expected}, got {'None' if value is None else type(value).__name__}")


def _same(value: Any) -> Any:
    return value


def _none(value: Any) -> None:
    if value is not None and value != {}:  # Go's struct{} is an empty map
        raise misfit("None", value)


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise misfit("float", value)
    try:
        return float(value)
    except OverflowError:
        raise Misfit("expected float, got an int that is too large for one") from None


def _scalar(kind: type) -> Converter:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            raise misfit(kind.__name__, value)
        return value

    return convert


def _bytes(kind: type, *, json: bool) -> Converter:
    if json:
        import base64

    def convert(value: Any) -> Any:
        if json and type(value) is str:
            try:
                value = base64.b64decode(value, validate=True)
            except ValueError as error:
                raise Misfit(f"expected {kind.__name__} in base64: {error}") from None
        if value is None:
            value = b""
        if type(value) is not bytes:
            raise misfit(kind.__name__, value)
        return value if kind is bytes else kind(value)

    return convert


def _list(item: Converter, exact: type | None, kind: type) -> Converter:
    """Convert to a list, and from that to another kind of collection."""

    def convert(value: Any) -> Any:
        if value is None:
            value = []
        elif type(value) is not list:
            if not isinstance(value, (tuple, set, frozenset)):
                if not _arrays.is_array(value):
                    raise misfit(kind.__name__, value)
                value = value.tolist()
            value = list(value)
        if item is not _same and not set(map(type, value)) <= {exact}:
            value = _each(item, value)
        if kind is list:
            return value
        try:
            return kind(value)
        except TypeError as error:  # what is in a set has to be hashable
            raise Misfit(f"expected {kind.__name__}: {error}") from None

    return convert


def _each(item: Converter, values: list[Any]) -> list[Any]:
    made: list[Any] = []
    try:
        for value in values:
            made.append(item(value))
    except Misfit as error:
        raise error.inside(f"[{len(made)}]") from None
    return made


def _tuple(items: list[Converter]) -> Converter:
    def convert(value: Any) -> Any:
        if type(value) not in (list, tuple):
            raise misfit("tuple", value)
        if len(value) != len(items):
            raise Misfit(f"expected {len(items)} items, got {len(value)}")
        made: list[Any] = []
        try:
            for item, given in zip(items, value, strict=True):
                made.append(item(given))
        except Misfit as error:
            raise error.inside(f"[{len(made)}]") from None
        return tuple(made)

    return convert


def _dict(key: Converter, item: Converter) -> Converter:
    def convert(value: Any) -> Any:
        if value is None:
            return {}
        if type(value) is not dict:
            raise misfit("dict", value)
        made = {}
        for name, given in value.items():
            try:
                name_made = key(name)
            except Misfit as error:
                raise error.inside(f"[key {name!r}]") from None
            try:
                made[name_made] = item(given)
            except Misfit as error:
                raise error.inside(f"[{name!r}]") from None
        return made

    return convert


class _Field(typing.NamedTuple):
    name: str
    convert: Converter
    required: bool


def _fields_of(value: Any, kind: str, fields: list[_Field]) -> dict[str, Any]:
    """Convert those items of a map that are fields."""
    if type(value) is not dict:
        raise misfit(kind, value)
    made = {}
    for name, convert, required in fields:
        if name in value:
            try:
                made[name] = convert(value[name])
            except Misfit as error:
                raise error.inside("." + name) from None
        elif required:
            has = ", ".join(map(repr, value)) or "nothing"
            raise Misfit(f"expected {kind}, got a map without {name!r}; it has {has}")
    return made


def _record(cls: Any, fields: list[_Field]) -> Converter:
    def convert(value: Any) -> Any:
        if type(value) is cls:  # a default of another record's field
            return value
        if issubclass(cls, tuple) and type(value) in (list, tuple):
            value = dict(zip(cls._fields, value, strict=False))
        made = _fields_of(value, cls.__name__, fields)
        try:
            return cls(**made)
        except MemoryError:
            raise
        except Exception as error:
            raise Misfit(f"{cls.__name__} refuses it: {type(error).__name__}: {error}") from error

    return convert


def _typed_dict(cls: Any, fields: list[_Field]) -> Converter:
    def convert(value: Any) -> Any:
        return _fields_of(value, cls.__name__, fields)

    return convert


def _enum(cls: type[enum.Enum]) -> Converter:
    def convert(value: Any) -> Any:
        try:
            return cls(value)
        except ValueError:
            choices = ", ".join(repr(member.value) for member in cls)
            raise Misfit(f"expected {cls.__name__} ({choices}), got {value!r}") from None

    return convert


def _literal(options: tuple[Any, ...]) -> Converter:
    def convert(value: Any) -> Any:
        for option in options:
            if value == option and type(value) is type(option):
                return option
        raise Misfit(f"expected one of {', '.join(map(repr, options))}, got {value!r}")

    return convert


def _union(members: list[tuple[type | None, Converter]], name: str) -> Converter:
    exact = {kind for kind, _ in members if kind is not None}
    others = [convert for kind, convert in members if kind is not type(None)]

    def convert(value: Any) -> Any:
        if type(value) in exact:
            return value
        if len(others) == 1:
            return others[0](value)  # its misfit tells more
        for member in others:
            try:
                return member(value)
            except Misfit:
                continue
        raise misfit(name, value)

    return convert


def _parsed(kind: Any, sources: tuple[type, ...], parse: Callable[[Any], Any]) -> Converter:
    """Convert what has no form of its own in a codec."""

    def convert(value: Any) -> Any:
        if type(value) is kind:
            return value
        if type(value) not in sources:
            raise misfit(kind.__name__, value)
        try:
            return parse(value)
        except (ValueError, ArithmeticError) as error:
            raise Misfit(f"expected {kind.__name__}, got {value!r}: {error}") from None

    return convert


def _datetime(text: str | None) -> Any:
    """Parse RFC 3339, which datetime.fromisoformat does in full only since Python 3.11."""
    if text is None:
        text = "0001-01-01T00:00:00Z"
    moment, dot, rest = text.replace("Z", "+00:00").replace("z", "+00:00").partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        moment += "." + rest[:digits][:6].ljust(6, "0") + rest[digits:]
    return sys.modules["datetime"].datetime.fromisoformat(moment)


def _others(hint: Any) -> Converter | None:
    """Return the converter of a type of a module that only those load who need it."""

    def has(module: str, name: str) -> bool:
        return hint is getattr(sys.modules.get(module), name, hint is None)

    if has("datetime", "datetime"):
        return _parsed(hint, (str, type(None)), _datetime)
    if has("datetime", "date"):
        return _parsed(hint, (str,), hint.fromisoformat)
    if has("datetime", "timedelta"):  # as Go writes a time.Duration
        return _parsed(hint, (int,), lambda nanoseconds: hint(microseconds=nanoseconds // 1000))
    if has("decimal", "Decimal"):
        return _parsed(hint, (str, int), hint)
    if has("procpool._ref", "Ref"):
        return _parsed(hint, (str,), hint)
    if has("uuid", "UUID"):
        return _parsed(hint, (str, bytes), lambda v: hint(bytes=v) if type(v) is bytes else hint(v))
    return None


class Compiler:
    """Makes converters of hints for what one codec decodes to."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._made: dict[Any, Converter] = {}

    def of(self, hint: Any) -> Converter:
        """Return the converter of a hint; TypeError if no value can become one of it."""
        hint = _hints.unwrap(hint)
        try:
            known = self._made.get(hint)
        except TypeError:  # a hint that holds something that can't be hashed
            return self._make(hint)
        if known is None:
            # A dataclass may have fields of its own type.
            self._made[hint] = lambda value: self._made[hint](value)
            known = self._made[hint] = self._make(hint)
        return known

    def _make(self, hint: Any) -> Converter:
        if hint is Any:
            return _same
        if hint is type(None):
            return _none
        if hint is float:
            return _float
        if hint in (bytes, bytearray, memoryview):
            return _bytes(hint, json=self._json)
        if hint in SCALARS:
            return _scalar(hint)
        if _hints.is_union(hint):
            return self._union(hint)
        if typing.get_origin(hint) is typing.Literal:
            return _literal(typing.get_args(hint))
        if _hints.is_array(hint):
            return self._array(hint)
        made = self._collection(hint) or self._class(typing.get_origin(hint) or hint)
        if made is None:
            raise TypeError(
                f"no value that comes from outside can become a {_hints.text(hint)}; "
                "use a dataclass, a TypedDict, or what Python has built in"
            )
        return made

    def _union(self, hint: Any) -> Converter:
        members = []
        for member in map(_hints.unwrap, typing.get_args(hint)):
            as_it_is = member if member in (*SCALARS, type(None)) else None
            members.append((as_it_is, self.of(member)))
        return _union(members, _hints.text(hint))

    def _array(self, hint: Any) -> Converter:
        from_data = _arrays.converter(_hints.dtype_of(hint))
        decode = _bytes(bytes, json=True)

        def convert(value: Any) -> Any:
            try:
                return from_data(decode(value) if type(value) is str else value)
            except (TypeError, ValueError) as error:
                raise Misfit(f"expected {_hints.text(hint)}: {error}") from None

        return convert

    def _collection(self, hint: Any) -> Converter | None:
        origin = typing.get_origin(hint) or hint
        arguments = typing.get_args(hint)
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            return _tuple([self.of(argument) for argument in arguments])
        for kinds, kind in ((_LISTS, list), (_SETS, set), ((tuple,), tuple)):
            if origin in kinds:
                return self._list(arguments, kind)
        if origin is frozenset:
            return self._list(arguments, frozenset)
        if origin in _MAPS:
            key, item = arguments or (Any, Any)
            return _dict(self._key(_hints.unwrap(key)), self.of(item))
        return None

    def _list(self, arguments: tuple[Any, ...], kind: type) -> Converter:
        hint = _hints.unwrap(arguments[0]) if arguments else Any
        return _list(self.of(hint), hint if hint in SCALARS else None, kind)

    def _key(self, hint: Any) -> Converter:
        made = self.of(hint)
        if not self._json or hint not in (int, float, bool):
            return made
        # In JSON all keys are text.
        read = {"true": True, "false": False}.__getitem__ if hint is bool else hint

        def convert(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, KeyError):
                raise Misfit(f"expected {hint.__name__}") from None

        return convert

    def _class(self, cls: Any) -> Converter | None:
        if not isinstance(cls, type):
            return None
        if issubclass(cls, enum.Enum):
            return _enum(cls)
        if hasattr(cls, "__required_keys__"):  # a TypedDict
            fields = self._fields(cls, lambda name: name in cls.__required_keys__)
            return _typed_dict(cls, fields)
        if hasattr(cls, "__dataclass_fields__"):
            settable = {n: f for n, f in cls.__dataclass_fields__.items() if f.init}
            missing = sys.modules["dataclasses"].MISSING

            def required(name: str) -> bool:
                field = settable[name]
                return field.default is missing and field.default_factory is missing

            return _record(cls, self._fields(cls, required, settable))
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            defaults = cls._field_defaults  # type: ignore[attr-defined]
            return _record(cls, self._fields(cls, lambda name: name not in defaults))
        return _others(cls)

    def _fields(
        self, cls: Any, required: Callable[[str], bool], names: typing.Container[str] | None = None
    ) -> list[_Field]:
        try:
            hints = _hints.resolve(cls)
        except NameError as error:
            raise TypeError(
                f"a type hint of {cls.__qualname__} can't be read: {error}; import the name where "
                "it is there at run time, not under TYPE_CHECKING"
            ) from None
        fields = []
        for name, hint in hints.items():
            if names is None or name in names:
                try:
                    fields.append(_Field(name, self.of(hint), required(name)))
                except TypeError as error:
                    raise TypeError(f"{cls.__qualname__}.{name}: {error}") from None
        return fields


def from_buffer(hint: Any) -> Callable[[memoryview], Any] | None:
    """Return how bytes become a value of the hint without a detour, None if they don't."""
    hint = _hints.unwrap(hint)
    if hint is Any:
        return bytes
    if hint in (bytes, bytearray):
        made: Callable[[memoryview], Any] = hint
        return made
    if hint is memoryview:
        return _same
    if _hints.is_array(hint):
        return _arrays.converter(_hints.dtype_of(hint))
    return None


def is_plain(hint: Any, depth: int = 8) -> bool:
    """Tell whether values of the hint are made of nothing but what every codec knows.

    False for what is nested deeply, since such values have to be looked at.
    """
    hint = _hints.unwrap(hint)
    if hint in (*SCALARS, type(None)):
        return True
    if depth and (_hints.is_union(hint) or typing.get_origin(hint) in (list, tuple, dict)):
        members = [member for member in typing.get_args(hint) if member is not Ellipsis]
        return bool(members) and all(is_plain(member, depth - 1) for member in members)
    return False
