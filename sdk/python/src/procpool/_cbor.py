"""The codec cbor.

What is read is what docs/protocol.md says of the Go side: no indefinite lengths, no
duplicate keys, nothing nested deeper than 64. What is written is for a Go host to read:
integers in their shortest form, floats that keep their value, text that is UTF-8.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import cbor2

from . import _arrays
from ._plain import Plainer, moment

if TYPE_CHECKING:
    from ._runtime import Payload
    from ._shape import Shape

DEPTH = 64
LARGE = 64 << 10  # from here on a copy costs more than a piece of its own
_BYTES, _LIST, _TAG = 2, 4, 6  # major types
_PLAIN = frozenset((int, float, str, bool, type(None), list, tuple, dict))

# How long an item is that is nothing but its head: a number, a bool or null.
_SIZES = {
    **{major << 5 | n: 1 for major in (0, 1) for n in range(24)},
    **{major << 5 | 24 + n: 1 + (1 << n) for major in (0, 1) for n in range(4)},
    0xF4: 1,
    0xF5: 1,
    0xF6: 1,
    0xF9: 3,
    0xFA: 5,
    0xFB: 9,
}

# A reader that stops at the end of the first item does not notice what follows it. So
# each item is read as the first of two, of which the second is one that nobody can know.
_END = os.urandom(16)
_END_ITEM = b"\x50" + _END


def read(data: bytes | memoryview, shape: Shape) -> Any:
    """Decode data; raises Misfit, ValueError, or an error of cbor2."""
    # Large values that are nothing but bytes are not copied more than they need.
    if len(data) >= LARGE and (found := _read_large(memoryview(data), shape)) is not None:
        return found
    value = _read_item(data)
    return value if type(value) is shape.exact else shape.from_cbor(value)


def _read_item(data: bytes | memoryview) -> Any:
    if not len(data):
        raise ValueError("there is nothing to decode")
    if _SIZES.get(data[0]) == len(data):  # what tiny calls are made of
        return cbor2.loads(data)
    pair = cbor2.loads(
        b"".join((b"\x82", data, _END_ITEM)),
        tag_hook=_read_tag,
        max_depth=DEPTH + 1,
        allow_indefinite=False,
        allow_duplicate_keys=False,
    )
    if pair[1] != _END:
        raise ValueError("what should be one item of CBOR is cut short, or something follows it")
    return pair[0]


def _read_tag(tag: cbor2.CBORTag, _immutable: bool) -> Any:
    return _arrays.from_tag(tag.tag, tag.value) if tag.tag in _arrays.READABLE else tag


def _read_large(view: memoryview, shape: Shape) -> Any:
    if view[0] >> 5 == _BYTES and shape.from_buffer is not None:
        content = _read_bytes(view)
        return None if content is None else shape.from_buffer(content)
    if view[0] == _TAG << 5 | 24 and view[1] in _arrays.READABLE:
        content = _read_bytes(view[2:])
        return None if content is None else shape.from_cbor(_arrays.from_tag(view[1], content))
    return None


def _read_bytes(view: memoryview) -> memoryview | None:
    """Return what is in a string of bytes, None if the view is not just one."""
    size, start = view[0] & 0x1F, 1
    if size >= 24:
        start = {24: 2, 25: 3, 26: 5, 27: 9}.get(size, 0)
        size = int.from_bytes(view[1:start], "big")
    if view[0] >> 5 != _BYTES or not start or len(view) != start + size:
        return None
    return view[start:]


def write(value: Any, shape: Shape) -> Payload:
    """Encode a value; raises Misfit, ValueError, or an error of cbor2."""
    kind = type(value)
    if kind in _PLAIN:
        if shape.plain:
            try:
                return cbor2.dumps(value)
            except cbor2.CBOREncodeError:
                pass  # it is not what the hint says: what follows tells more, or finds a form
    elif kind in (bytes, bytearray, memoryview):
        flat = flatten(value)
        if len(flat) >= LARGE:
            return _head(_BYTES, len(flat)), flat
    elif _arrays.is_array(value) and value.nbytes >= LARGE:
        found = _arrays.tagged(value)
        if found is not None:
            return _array_head(*found), found.memory
    return cbor2.dumps(_plain(value))


def flatten(value: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    """Return the value as bytes in a row, without a copy if they are."""
    if type(value) is not memoryview:
        return value
    return value.cast("B") if value.c_contiguous else value.tobytes()


def _head(major: int, argument: int) -> bytes:
    """Write the head of an item in its shortest form."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    for code, size in ((24, 1), (25, 2), (26, 4)):
        if argument < 1 << 8 * size:
            return bytes((major << 5 | code,)) + argument.to_bytes(size, "big")
    return bytes((major << 5 | 27,)) + argument.to_bytes(8, "big")


def _array_head(tag: int, sizes: tuple[int, ...], memory: memoryview) -> bytes:
    """Write what goes in front of an array's memory."""
    head = _head(_TAG, tag) + _head(_BYTES, memory.nbytes)
    if len(sizes) == 1:
        return head
    dimensions = _head(_LIST, len(sizes)) + b"".join(_head(0, size) for size in sizes)
    return _head(_TAG, _arrays.ROWS) + _head(_LIST, 2) + dimensions + head


def _array(array: Any) -> Any:
    found = _arrays.tagged(array)
    if found is None:
        return array.tolist()
    item = cbor2.CBORTag(found.tag, bytes(found.memory))
    if len(found.sizes) == 1:
        return item
    return cbor2.CBORTag(_arrays.ROWS, [list(found.sizes), item])


_plain = Plainer(
    atoms=(int, float, str, bool, bytes, type(None), cbor2.CBORTag),
    binary=lambda value: bytes(flatten(value)),
    array=_array,
    moment=lambda value: cbor2.CBORTag(0, moment(value)),
)
