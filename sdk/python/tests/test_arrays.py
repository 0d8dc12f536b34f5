"""Arrays of numbers as RFC 8746 has them."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt
import pytest

from procpool import _codec
from procpool._failure import CodecFailure
from procpool._shape import Shape

LARGE = 1 << 17


def decode(data: bytes | memoryview, hint: Any = Any, codec: str = "cbor") -> Any:
    return _codec.decode(codec, data, Shape(hint), "decode the argument")


def encode(value: Any, hint: Any = Any, codec: str = "cbor") -> bytes:
    payload = _codec.encode(codec, value, Shape(hint), "encode the result")
    return payload if isinstance(payload, bytes) else b"".join(payload)


def same(left: Any, right: Any) -> bool:
    return (
        isinstance(left, np.ndarray)
        and left.dtype == right.dtype
        and left.shape == right.shape
        and bool((left == right).all())
    )


TAGS = {
    "u1": 64,
    ">u2": 65,
    ">u4": 66,
    ">u8": 67,
    "<u2": 69,
    "<u4": 70,
    "<u8": 71,
    "i1": 72,
    ">i2": 73,
    ">i4": 74,
    ">i8": 75,
    "<i2": 77,
    "<i4": 78,
    "<i8": 79,
    ">f2": 80,
    ">f4": 81,
    ">f8": 82,
    "<f2": 84,
    "<f4": 85,
    "<f8": 86,
}


@pytest.mark.parametrize(("dtype", "tag"), TAGS.items())
@pytest.mark.parametrize("size", [3, LARGE])
def test_each_type_of_number(dtype: str, tag: int, size: int) -> None:
    array = (np.arange(size) % 100).astype(dtype)
    data = encode(array)
    assert data == cbor2.dumps(cbor2.CBORTag(tag, array.tobytes()))
    native = array.astype(array.dtype.newbyteorder("="))
    assert same(decode(data), native)
    assert same(decode(memoryview(data), npt.NDArray[native.dtype.type]), native)  # type: ignore[name-defined]
    assert not decode(data).flags.writeable
    assert decode(data).flags.aligned
    # Within other values, too.
    assert same(decode(encode({"a": [array]}))["a"][0], native)


@pytest.mark.parametrize(("dtype", "tag"), TAGS.items())
def test_without_numpy_an_array_is_a_list(
    dtype: str, tag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(np.array([1, 2, 100], dtype))
    large = encode((np.arange(LARGE) % 100).astype(dtype))
    grid = encode(np.array([[1, 2, 3], [4, 5, 6]], dtype))
    monkeypatch.delitem(sys.modules, "numpy")
    assert decode(data) == decode(data, list[float]) == [1, 2, 100]
    assert len(decode(large)) == LARGE
    assert decode(grid) == [[1, 2, 3], [4, 5, 6]]
    if "f" not in dtype:
        assert decode(data, list[int]) == [1, 2, 100]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 1), (0, 3), (300, 300)])
def test_several_dimensions(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype="<f8").reshape(shape)
    data = encode(array)
    assert data == cbor2.dumps(cbor2.CBORTag(40, [list(shape), cbor2.CBORTag(86, array.tobytes())]))
    for hint in (Any, np.ndarray, npt.NDArray[np.float64]):
        assert same(decode(data, hint), array)
    assert same(decode(encode([array]))[0], array)
    # Stored by columns; reversed; every other item: the memory is by rows all the same.
    for other in (np.asfortranarray(array), array[::-1], array[..., ::2]):
        assert same(decode(encode(other)), other)
    columns = cbor2.CBORTag(1040, [list(shape), cbor2.CBORTag(86, array.tobytes(order="F"))])
    assert same(decode(cbor2.dumps(columns)), array)


def test_memory_is_not_copied() -> None:
    array = np.arange(LARGE, dtype=np.uint8)
    payload = _codec.encode("cbor", array, Shape(np.ndarray), "encode the result")
    assert isinstance(payload, tuple)
    assert np.shares_memory(np.frombuffer(payload[1], np.uint8), array)
    data = b"".join(payload)
    for hint in (Any, np.ndarray):
        assert np.shares_memory(decode(data, hint), np.frombuffer(data, np.uint8))
    raw = _codec.encode("raw", array, Shape(np.ndarray), "encode the result")
    assert isinstance(raw, tuple)
    assert np.shares_memory(np.frombuffer(raw[0], np.uint8), array)
    assert np.shares_memory(
        decode(data, npt.NDArray[np.uint8], "raw"), np.frombuffer(data, np.uint8)
    )
    assert not decode(data, np.ndarray, "raw").flags.writeable


def test_memory_that_is_not_aligned_is_copied() -> None:
    array = np.arange(LARGE, dtype=np.float64)
    data = encode(array)
    for shift in range(8):
        room = bytes(shift) + data
        made = decode(memoryview(room)[shift:], npt.NDArray[np.float64])
        assert made.flags.aligned
        assert same(made, array)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.array([True, False]), [True, False]),
        (np.array(["a", "é"]), ["a", "é"]),
        (np.array([1, "a", None], dtype=object), [1, "a", None]),
        (np.array([[True]]), [[True]]),
        (np.array(5), 5),
        (np.int64(5), 5),
        (np.float32(1.5), 1.5),
        (np.float64(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        ([np.int64(5), {"a": np.float64(2.0)}], [5, {"a": 2.0}]),
        ({np.int64(1): 2}, {1: 2}),
    ],
)
def test_what_has_no_tag(value: Any, plain: Any) -> None:
    for hint in (Any, list[int], float):
        made = decode(encode(value, hint))
        assert made == plain
        assert type(made) is type(plain)


def test_json_has_lists() -> None:
    assert encode(np.array([[1, 2], [3, 4]]), Any, "json") == b"[[1,2],[3,4]]"
    assert encode({"a": np.array([1.5])}, Any, "json") == b'{"a":[1.5]}'
    made = decode(b"[[1,2],[3,4]]", npt.NDArray[np.float32], "json")
    assert same(made, np.array([[1, 2], [3, 4]], np.float32))
    assert same(decode(b'"AQI="', npt.NDArray[np.uint8], "json"), np.array([1, 2], np.uint8))


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ([1, 2], np.ndarray, np.array([1, 2])),
        ([1.5, 2], np.ndarray, np.array([1.5, 2.0])),
        ([[1, 2], [3, 4]], npt.NDArray[np.int16], np.array([[1, 2], [3, 4]], np.int16)),
        ([1, 2], npt.NDArray[np.float64], np.array([1.0, 2.0])),
        ([1.5], npt.NDArray[np.float32], np.array([1.5], np.float32)),
        ([255], npt.NDArray[np.uint8], np.array([255], np.uint8)),
        ([True], npt.NDArray[np.bool_], np.array([True])),
        ([], npt.NDArray[np.int32], np.array([], np.int32)),
        (None, npt.NDArray[np.int32], np.array([], np.int32)),
        (b"\x01\x02", npt.NDArray[np.uint8], np.array([1, 2], np.uint8)),
        (b"\x01\x02", np.ndarray, np.array([1, 2], np.uint8)),
        (np.array([1, 2], np.int64), npt.NDArray[np.int8], np.array([1, 2], np.int8)),
        (np.array([1], np.int64), npt.NDArray[np.float32], np.array([1], np.float32)),
        (np.array([1], np.float64), npt.NDArray[np.float32], np.array([1], np.float32)),
    ],
)
def test_arrays_of_what_a_hint_says(value: Any, hint: Any, expected: Any) -> None:
    assert same(decode(encode(value), hint), expected)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ([1.5], npt.NDArray[np.int64], "expected numpy.ndarray[int64]: got an array of float64"),
        ([300], npt.NDArray[np.uint8], "got numbers that are too large for uint8"),
        ([-1], npt.NDArray[np.uint8], "got numbers that are too large for uint8"),
        (["1"], npt.NDArray[np.float64], "got a list of other things than numbers"),
        ([None], np.ndarray, "got a list of other things than numbers"),
        ([2**70], np.ndarray, "or of too large ones"),
        ([1], npt.NDArray[np.bool_], "got an array of int64"),
        ([[1], [1, 2]], np.ndarray, "inhomogeneous"),
        (5, np.ndarray, "got int"),
        ({"a": 1}, np.ndarray, "got dict"),
        (b"12345678", npt.NDArray[np.float64], "expected numpy.ndarray[float64]: got bytes"),
        (np.array([1.5]), npt.NDArray[np.int64], "got an array of float64"),
        (np.array([1]), list[str], "argument[0]: expected str, got int"),
        (np.array([1]), int, "argument: expected int, got ndarray"),
    ],
)
def test_arrays_that_are_refused(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(CodecFailure) as caught:
        decode(encode(value), hint)
    assert message in str(caught.value)
    assert str(caught.value).startswith("argument")


@pytest.mark.parametrize(
    ("tag", "content", "message"),
    [
        (86, b"1234567", "an array of items of 8 bytes has 7"),
        (86, [1, 2], "is not a string of bytes"),
        (40, [1, 2, 3], "is not a list of its sizes and its items"),
        (40, [[-1], cbor2.CBORTag(64, b"a")], "is not a list of its sizes and its items"),
        (40, [[2, 2], cbor2.CBORTag(64, b"abc")], "cannot reshape array of size 3"),
        (40, b"abc", "is not a list of its sizes"),
    ],
)
def test_nonsense_is_refused(tag: int, content: Any, message: str) -> None:
    with pytest.raises(CodecFailure, match=message):
        decode(cbor2.dumps(cbor2.CBORTag(tag, content)))


def test_nonsense_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    for sizes in ([2, 2], [3, 0], [2], [5]):
        with pytest.raises(CodecFailure, match="an array of"):
            decode(cbor2.dumps(cbor2.CBORTag(40, [sizes, cbor2.CBORTag(64, b"abc")])))
    with pytest.raises(CodecFailure, match="stored by columns can only be read with numpy"):
        decode(cbor2.dumps(cbor2.CBORTag(1040, [[1, 3], cbor2.CBORTag(64, b"abc")])))


def test_values_that_have_no_form() -> None:
    for value in (np.array([1j]), np.array([1], np.longdouble), np.longdouble(1)):
        with pytest.raises(CodecFailure, match="can't cross to another process"):
            encode(value)


def test_in_a_dataclass() -> None:
    @dataclass
    class Image:
        pixels: npt.NDArray[np.uint8]
        gamma: float

    Image.__annotations__.update(pixels=npt.NDArray[np.uint8], gamma=float)
    made = decode(encode(Image(np.zeros((2, 2), np.uint8), 1.0)), Image)
    assert isinstance(made, Image)
    assert same(made.pixels, np.zeros((2, 2), np.uint8))


def test_a_list_of_one_type_is_a_list() -> None:
    assert decode(cbor2.dumps(cbor2.CBORTag(41, [1, 2])), list[int]) == [1, 2]


def test_bytes_of_known_numbers() -> None:
    # What the README tells a Go programmer.
    assert encode(np.array([1.5, -2.0])) == b"\xd8\x56\x50" + struct.pack("<dd", 1.5, -2.0)
