"""Codecs: values as bytes and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cbor2

from ._failure import CodecFailure

if TYPE_CHECKING:
    from ._hints import Shape
    from ._runtime import Payload


def decode(codec: str, data: bytes | memoryview, shape: Shape, op: str) -> Any:
    """Decode data into a value of that shape."""
    try:
        if codec == "cbor":
            return cbor2.loads(data)
        if codec == "json":
            return json.loads(bytes(data))
        if codec == "raw":
            return bytes(data)
    except Exception as error:
        raise CodecFailure(op, codec, str(error)) from error
    raise CodecFailure(op, codec, f"the task does not know the codec {codec!r}")


def encode(codec: str, value: Any, shape: Shape, op: str) -> Payload:
    """Encode a value."""
    try:
        if codec == "cbor":
            return cbor2.dumps(value)
        if codec == "json":
            return json.dumps(value).encode()
        if codec == "raw":
            return bytes(value)
    except Exception as error:
        raise CodecFailure(op, codec, str(error)) from error
    raise CodecFailure(op, codec, f"the task does not know the codec {codec!r}")
