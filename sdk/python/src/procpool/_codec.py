"""Codecs: values as bytes and back, by the names that are on the wire."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import _arrays, _cbor
from ._convert import Misfit
from ._failure import CodecFailure
from ._plain import Plainer, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._runtime import Payload
    from ._shape import Shape


def decode(codec: str, data: bytes | memoryview, shape: Shape, op: str) -> Any:
    """Decode data into a value of that shape; raises CodecFailure.

    The value may refer to data, where it is a memoryview or an array.
    """
    try:
        return _READERS[codec](data, shape)
    except Exception as error:
        raise _failure(error, codec, op) from error


def encode(codec: str, value: Any, shape: Shape, op: str) -> Payload:
    """Encode a value, which should be of that shape; raises CodecFailure.

    Large bytes and arrays are not copied: they are pieces of what is returned.
    """
    try:
        return _WRITERS[codec](value, shape)
    except Exception as error:
        raise _failure(error, codec, op) from error


def _failure(error: Exception, codec: str, op: str) -> Exception:
    if isinstance(error, MemoryError):
        return error  # the task is short of memory, the value may be sound
    if isinstance(error, Misfit):
        # "decode the argument" is about an argument
        reason = error.tell(op.rpartition(" ")[2])
    elif codec not in _READERS:
        reason = f"Python workers know the codecs {', '.join(_READERS)}"
    elif isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    else:
        # cbor2 says where, and its cause what.
        reason = ": ".join(map(str, filter(None, (error, error.__cause__))))
    return CodecFailure(op, codec, reason)


@functools.cache
def _json() -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    """Return what decodes and encodes JSON, which is imported only where it is used."""
    import json

    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return decoder.decode, encoder.encode


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _read_json(data: bytes | memoryview, shape: Shape) -> Any:
    value = _json()[0](str(data, "utf-8"))
    return value if type(value) is shape.exact else shape.from_json(value)


def _write_json(value: Any, shape: Shape) -> Payload:
    encode = _json()[1]
    if shape.plain:
        try:
            return encode(value).encode()
        except TypeError:
            pass  # bytes, or not what the hint says
    return encode(_plain_for_json(value)).encode()


def _base64(value: bytes | bytearray | memoryview) -> str:
    import base64

    return base64.b64encode(_cbor.flatten(value)).decode()


_plain_for_json = Plainer(
    atoms=(int, float, str, bool, type(None)),
    binary=_base64,
    array=lambda array: array.tolist(),
    moment=moment,
)


def _read_raw(data: bytes | memoryview, shape: Shape) -> Any:
    if shape.from_buffer is None:
        raise Misfit(f"expected {shape.text}, got bytes, and raw has nothing else")
    return shape.from_buffer(memoryview(data))


def _write_raw(value: Any, shape: Shape) -> Payload:
    if type(value) is bytes:
        return value
    if _arrays.is_array(value) and (found := _arrays.tagged(value)) and found.tag == 64:
        return (found.memory,)
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise Misfit(f"expected bytes, since raw has nothing else, got {type(value).__name__}")
    return (_cbor.flatten(value),)


NAMES = ("cbor", "json", "raw")
_READERS = {"cbor": _cbor.read, "json": _read_json, "raw": _read_raw}
_WRITERS = {"cbor": _cbor.write, "json": _write_json, "raw": _write_raw}
