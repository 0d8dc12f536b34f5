"""Values of all codecs through a real worker process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cbor2
import numpy as np
import pytest
from conftest import Start
from host import Worker

from procpool._gen import worker_pb2 as pb

WORKER = """
    from __future__ import annotations

    import enum
    from collections.abc import Iterator
    from dataclasses import dataclass
    from datetime import datetime, timedelta
    from typing import Any

    import numpy as np
    import numpy.typing as npt
    import procpool

    class Unit(enum.Enum):
        MM = "mm"

    @dataclass
    class Box:
        size: tuple[float, float]
        unit: Unit = Unit.MM

        def __post_init__(self):
            if self.size[0] < 0:
                raise ValueError("negative")

    @procpool.task()
    def echo(value: Any) -> Any:
        return value

    @procpool.task()
    def grow(box: Box) -> Box:
        return Box((box.size[0] * 2, box.size[1] * 2), box.unit)

    @procpool.task()
    def double(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return array * 2

    @procpool.task()
    def total(array: npt.NDArray[np.float64]) -> float:
        return array.sum()

    @procpool.task(codecs=("raw",))
    def turn(data: memoryview) -> memoryview:
        return data[::-1]

    @procpool.task()
    def length(data: bytes) -> int:
        return len(data)

    @procpool.task()
    def file(argument: None):
        return {"files": [open("/dev/null")]}

    @procpool.stream()
    def arrays(n: int) -> Iterator[np.ndarray]:
        for i in range(n):
            yield np.full(100_000, i, np.uint8)

    @procpool.stream()
    def bad(n: int):
        yield 1
        yield object()

    @procpool.session()
    def boxes(start: None, values: Iterator[Box]) -> Iterator[Box]:
        for box in values:
            yield grow(box)

    procpool.serve()
"""
LARGE = 16 << 20
PLENTY = {"result_credit": 1000, "result_credit_bytes": 1 << 30}


@pytest.fixture
def worker(start: Start) -> Worker:
    return start(WORKER)


def test_descriptions(worker: Worker) -> None:
    tasks = {task.name: task for task in worker.response.tasks}
    assert (tasks["grow"].input, tasks["grow"].output) == ("Box", "Box")
    assert tasks["double"].input == "numpy.ndarray[float64]"
    assert list(tasks["turn"].codecs) == ["raw"]
    assert list(tasks["length"].codecs) == ["cbor", "json"]
    assert (tasks["arrays"].input, tasks["arrays"].output) == ("int", "numpy.ndarray")
    assert tasks["boxes"].receives == "Box"


def test_small_values(worker: Worker) -> None:
    for value in [0, -1, 2**64, 1.5, True, None, "é", b"\xff", [1, [2]], {"a": {"b": 1.0}}]:
        data = cbor2.dumps(value)
        assert worker.call("echo", data).inline == data
    text = '{"ü":[1,1.5,null,true]}'.encode()
    assert worker.call("echo", text, codec="json").inline == text


def test_a_dataclass(worker: Worker) -> None:
    box: dict[str, Any] = {"size": [1, 2.5], "unit": "mm"}
    grown = {"size": [2.0, 5.0], "unit": "mm"}
    assert cbor2.loads(worker.call("grow", cbor2.dumps(box)).inline) == grown
    made = worker.call("grow", json.dumps(box).encode(), codec="json")
    assert json.loads(made.inline) == grown


def test_large_bytes(worker: Worker) -> None:
    value = bytes(range(256)) * (LARGE // 256)
    data = cbor2.dumps(value)
    assert worker.call("echo", data).inline == data
    assert worker.call("turn", value).inline == value[::-1]
    assert cbor2.loads(worker.call("length", data).inline) == LARGE
    # What is behind a large argument is not touched by it.
    assert cbor2.loads(worker.call("length", b"\x41a").inline) == 1


def test_large_arrays(worker: Worker) -> None:
    array = np.arange(LARGE // 8, dtype=np.float64)
    data = cbor2.dumps(cbor2.CBORTag(86, array.tobytes()))
    doubled = cbor2.loads(worker.call("double", data).inline)
    assert doubled.tag == 86
    assert np.array_equal(np.frombuffer(doubled.value), array * 2)
    assert cbor2.loads(worker.call("total", data).inline) == array.sum()
    listed = worker.call("double", b"[1,2.5]", codec="json")
    assert json.loads(listed.inline) == [2.0, 5.0]


def test_an_array_lives_as_long_as_it_is_used(worker: Worker) -> None:
    # Views of messages that come one after the other.
    sent = [np.random.default_rng(n).integers(0, 256, 70_000, np.uint8) for n in range(20)]
    calls = [
        worker.start("echo", cbor2.dumps(cbor2.CBORTag(64, array.tobytes()))) for array in sent
    ]
    for seq, array in zip(calls, sent, strict=True):
        assert cbor2.loads(worker.outcome(seq).inline).value == array.tobytes()


@pytest.mark.parametrize(
    ("name", "data", "codec", "op", "message"),
    [
        (
            "grow",
            b'{"size": [1]}',
            "json",
            "decode the argument",
            "argument.size: expected 2 items",
        ),
        ("grow", b'{"size": [-1, 1]}', "json", "decode the argument", "ValueError: negative"),
        ("grow", b"\xa0", "cbor", "decode the argument", "a map without 'size'"),
        ("grow", b"\xa0\x00", "cbor", "decode the argument", "something follows it"),
        ("grow", b"", "proto", "decode the argument", "the task's codecs are cbor, json"),
        ("turn", b"", "cbor", "decode the argument", "the task's codecs are raw"),
        ("file", b"\xf6", "cbor", "encode the result", "result['files'][0]: a _io.TextIOWrapper"),
        ("echo", cbor2.dumps(float("nan")), "json", "decode the argument", "utf-8"),
    ],
)
def test_codec_failures(
    worker: Worker, name: str, data: bytes, codec: str, op: str, message: str
) -> None:
    failure = worker.call(name, data, codec=codec).failure
    assert failure.kind == pb.FAILURE_KIND_CODEC
    assert (failure.op, failure.codec, failure.task) == (op, codec, name)
    assert message in failure.message
    assert worker.call("echo", b"\x07").inline == b"\x07"


def test_a_stream_of_arrays(worker: Worker) -> None:
    seq = worker.start("arrays", b"\x03", **PLENTY)
    assert not worker.outcome(seq).HasField("failure")
    values = [cbor2.loads(value.inline) for value in worker.taken(pb.StreamValue)]
    assert [value.value for value in values] == [bytes([n]) * 100_000 for n in range(3)]


def test_a_value_that_can_not_be_encoded_ends_its_stream(worker: Worker) -> None:
    seq = worker.start("bad", b"\x00", **PLENTY)
    failure = worker.outcome(seq).failure
    assert (failure.kind, failure.op) == (pb.FAILURE_KIND_CODEC, "encode a value")
    assert failure.message.startswith("value: a builtins.object can't cross")
    assert [value.inline for value in worker.taken(pb.StreamValue)] == [b"\x01"]


@pytest.mark.parametrize(
    ("codec", "dumps", "loads"),
    [("cbor", cbor2.dumps, cbor2.loads), ("json", lambda v: json.dumps(v).encode(), json.loads)],
)
def test_values_that_a_session_receives(
    worker: Worker, codec: str, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
) -> None:
    def say(value: Any) -> None:
        worker.wait(pb.Credit)
        worker.send(pb.WorkRequest(values=[pb.StreamValue(seq=seq, inline=dumps(value))]))

    seq = worker.start("boxes", dumps(None), codec=codec, streams_argument=True, **PLENTY)
    say({"size": [1, 2]})
    got = loads(worker.wait(pb.StreamValue).inline)
    assert got == {"size": [2.0, 4.0], "unit": "mm"}
    worker.send(pb.WorkRequest(values=[pb.StreamValue(seq=seq, inline=dumps({"size": "a"}))]))
    failure = worker.outcome(seq).failure
    assert (failure.kind, failure.op) == (pb.FAILURE_KIND_CODEC, "decode a received value")
    assert failure.message == "value.size: expected tuple, got str"
