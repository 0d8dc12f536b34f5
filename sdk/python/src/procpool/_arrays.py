"""Arrays of numbers as RFC 8746 has them in CBOR: a tag, and the memory as it is.

With numpy they are numpy arrays. It is used only where the program has imported it;
without it an array that comes is a list.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMATS = {
    64: "|u1",
    65: ">u2",
    66: ">u4",
    67: ">u8",
    68: "|u1",
    69: "<u2",
    70: "<u4",
    71: "<u8",
    72: "|i1",
    73: ">i2",
    74: ">i4",
    75: ">i8",
    77: "<i2",
    78: "<i4",
    79: "<i8",
    80: ">f2",
    81: ">f4",
    82: ">f8",
    84: "<f2",
    85: "<f4",
    86: "<f8",
}
_TAGS = {form: tag for tag, form in _FORMATS.items() if tag != 68}  # 68 is u1, clamped
_STRUCT = {
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
ROWS, COLUMNS, SAME = 40, 1040, 41  # several dimensions in either order; a list of one type
READABLE = frozenset((*_FORMATS, ROWS, COLUMNS, SAME))


def is_array(value: Any) -> bool:
    """Tell whether the value is a numpy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def from_tag(tag: int, content: Any) -> Any:
    """Make the array that a tag and its content stand for; ValueError if it is none.

    A numpy array is a view of the content where that is aligned, and is read-only.
    """
    if tag == SAME:
        return content
    if tag in (ROWS, COLUMNS):
        return _reshape(content, "C" if tag == ROWS else "F")
    if not isinstance(content, (bytes, memoryview)):
        raise ValueError("an array of numbers (RFC 8746) is not a string of bytes")
    form = _FORMATS[tag]
    count, rest = divmod(len(content), int(form[2:]))
    if rest:
        raise ValueError(f"an array of items of {form[2:]} bytes has {len(content)}")
    numpy = sys.modules.get("numpy")
    if numpy is None:
        import struct

        return list(
            struct.unpack(f"{form[0].replace('|', '=')}{count}{_STRUCT[form[1:]]}", content)
        )
    array = numpy.frombuffer(content, form) if count else numpy.empty(0, form)
    if not array.flags.aligned or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array.flags.writeable = False
    return array


def _reshape(content: Any, order: str) -> Any:
    try:
        dimensions, items = content
        if not all(type(size) is int and size >= 0 for size in dimensions):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            "an array of several dimensions (RFC 8746) is not a list of its sizes and its items"
        ) from None
    if is_array(items):
        return items.reshape(dimensions, order=order)
    if order != "C":
        raise ValueError("an array that is stored by columns can only be read with numpy imported")
    for size in reversed(dimensions[1:]):
        if not size or len(items) % size:
            raise ValueError(f"an array of {dimensions} items does not have {len(items)}")
        items = [items[start : start + size] for start in range(0, len(items), size)]
    if len(items) != dimensions[0]:
        raise ValueError(f"an array of {dimensions} items has another number of them")
    return items


class Tagged(NamedTuple):
    """An array as RFC 8746 has it: by rows."""

    tag: int
    sizes: tuple[int, ...]
    memory: memoryview


def tagged(array: Any) -> Tagged | None:
    """Take a numpy array apart; None if RFC 8746 has no such items, as for bool and text.

    The memory is the array's own where that is contiguous.
    """
    tag = _TAGS.get(array.dtype.str)
    if tag is None or array.ndim == 0:
        return None
    numpy = sys.modules["numpy"]
    flat = numpy.ascontiguousarray(array).reshape(-1)
    return Tagged(tag, array.shape, memoryview(flat.view(numpy.uint8)))


def converter(dtype: Any) -> Callable[[Any], Any]:
    """Return what makes arrays of a dtype (None: any) of decoded values.

    It raises ValueError or TypeError for what can't become one: numbers must keep their
    value, but for the precision of floats.
    """
    numpy = sys.modules["numpy"]

    def convert(value: Any) -> Any:
        if isinstance(value, (bytes, memoryview)):
            if dtype is not None and dtype != numpy.uint8:
                raise TypeError("got bytes")
            return from_tag(64, value)
        array = value
        if not isinstance(value, numpy.ndarray):
            if value is not None and type(value) is not list:
                raise TypeError(f"got {type(value).__name__}")
            array = numpy.asarray(value or [], None if value else dtype)
            if array.dtype.kind not in "biuf":
                raise TypeError("got a list of other things than numbers, or of too large ones")
        if dtype is None or array.dtype == dtype:
            return array
        if dtype.kind in "iu" and array.dtype.kind in "iu":
            limits = numpy.iinfo(dtype)
            if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
                raise ValueError(f"got numbers that are too large for {dtype}")
        elif not (dtype.kind == "f" and array.dtype.kind in "iuf"):
            raise TypeError(f"got an array of {array.dtype}")
        return array.astype(dtype)

    return convert
