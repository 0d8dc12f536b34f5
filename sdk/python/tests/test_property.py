"""Properties of the codecs and of hints, for values that hypothesis thinks of."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any, Optional

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from procpool import _codec, _hints
from procpool._convert import Misfit
from procpool._failure import CodecFailure
from procpool._shape import Shape

settings.register_profile(
    "procpool", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200
)
settings.load_profile("procpool")

CODECS = ("cbor", "json")
UTC = dt.timezone.utc


def encode(value: Any, hint: Any, codec: str) -> bytes:
    payload = _codec.encode(codec, value, Shape(hint), "encode the result")
    return payload if isinstance(payload, bytes) else b"".join(payload)


def there_and_back(value: Any, hint: Any, codec: str) -> Any:
    return _codec.decode(codec, encode(value, hint, codec), Shape(hint), "decode the argument")


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are of the same types and equal, NaN to NaN as well."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


text = st.text(st.characters(exclude_categories=["Cs"]))
finite = st.floats(allow_nan=False, allow_infinity=False)
# What JSON has as well.
json_atoms = st.none() | st.booleans() | st.integers() | finite | text
atoms = json_atoms | st.floats() | st.binary()


def containers(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=5) | st.dictionaries(text, of, max_size=5)


values = st.recursive(atoms, containers, max_leaves=20)
json_values = st.recursive(json_atoms, containers, max_leaves=20)


@given(values)
def test_cbor_there_and_back(value: Any) -> None:
    assert same(there_and_back(value, Any, "cbor"), value)


@given(json_values)
def test_json_there_and_back(value: Any) -> None:
    assert same(there_and_back(value, Any, "json"), value)


@given(st.binary())
def test_bytes_in_every_codec(value: bytes) -> None:
    for codec in (*CODECS, "raw"):
        assert there_and_back(value, bytes, codec) == value


@given(values)
def test_cbor_is_read_only_whole(value: Any) -> None:
    data = encode(value, Any, "cbor")
    for bad in (data[:-1], data + b"\x00", data + data):
        with pytest.raises(CodecFailure):
            _codec.decode("cbor", bad, Shape(Any), "decode the argument")


@given(st.binary(max_size=64))
def test_nonsense_is_refused_or_a_value(data: bytes) -> None:
    for codec in CODECS:
        for hint in (Any, int, list[float], dict[str, Any], np.ndarray):
            try:
                _codec.decode(codec, data, Shape(hint), "decode the argument")
            except CodecFailure:
                continue


@given(st.lists(st.tuples(text, st.integers()), min_size=1, max_size=5), st.data())
def test_duplicate_keys_are_refused(pairs: list[tuple[str, int]], data: st.DataObject) -> None:
    pairs = list(dict(pairs).items())
    again = data.draw(st.sampled_from(pairs))
    items = [cbor2.dumps(part) for pair in [*pairs, again] for part in pair]
    encoded = bytes([0xA0 | len(pairs) + 1]) + b"".join(items)
    with pytest.raises(CodecFailure, match="Duplicate"):
        _codec.decode("cbor", encoded, Shape(Any), "decode the argument")


@given(
    hnp.arrays(
        st.one_of(
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        ),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0),
    )
)
def test_arrays_there_and_back(array: Any) -> None:
    made = there_and_back(array, np.ndarray, "cbor")
    assert made.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(made, array)


@dataclass
class Leaf:
    name: str
    weight: float
    data: bytes
    seen: Optional[dt.datetime]  # noqa: UP045


@dataclass
class Tree:
    leaf: Leaf
    children: list[Tree]
    by_number: dict[int, Leaf]


leaves = st.builds(
    Leaf,
    text,
    finite,
    st.binary(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
trees = st.recursive(
    st.builds(Tree, leaves, st.just([]), st.dictionaries(st.integers(), leaves, max_size=3)),
    lambda below: st.builds(Tree, leaves, st.lists(below, max_size=3), st.just({})),
    max_leaves=5,
)


@given(trees)
def test_dataclasses_there_and_back(tree: Tree) -> None:
    for codec in CODECS:
        assert there_and_back(tree, Tree, codec) == tree


# Hints, and values that are of them: built together.
def _pairs() -> st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]]:
    base = st.sampled_from(
        [
            (int, st.integers()),
            (float, finite),
            (str, text),
            (bytes, st.binary()),
            (bool, st.booleans()),
            (type(None), st.none()),
            (dt.timedelta, st.timedeltas()),
            (Leaf, leaves),
        ]
    )

    def extend(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        def grow(pair: Any) -> st.SearchStrategy[Any]:
            hint: Any = pair[0]
            of: st.SearchStrategy[Any] = pair[1]
            few = st.lists(of, max_size=3)
            return st.sampled_from(
                [
                    (list[hint], few),
                    (tuple[hint, ...], few.map(tuple)),
                    (tuple[hint, int], st.tuples(of, st.integers())),
                    (dict[str, hint], st.dictionaries(text, of, max_size=3)),
                    (dict[int, hint], st.dictionaries(st.integers(), of, max_size=3)),
                    (hint | None, st.none() | of),
                ]
            )

        return below.flatmap(grow)

    return st.recursive(base, extend, max_leaves=4)


@given(_pairs(), st.data())
def test_what_a_hint_allows_comes_back(
    pair: tuple[Any, st.SearchStrategy[Any]], data: st.DataObject
) -> None:
    hint, of = pair
    value = data.draw(of)
    for codec in CODECS:
        assert same(there_and_back(value, hint, codec), value)
    assert _hints.text(hint)


class Foreign:
    """What is of no hint: no list, no number, no text."""


@given(_pairs())
def test_what_a_hint_does_not_allow_is_refused(pair: tuple[Any, Any]) -> None:
    shape = Shape(pair[0])
    for convert in (shape.from_cbor, shape.from_json):
        with pytest.raises(Misfit, match="expected"):
            convert(Foreign())
