from __future__ import annotations

import itertools
import random

import pytest

from procpool import _message, _request, _task
from procpool._gen import worker_pb2 as pb

# What this version does not know, of every kind that a field may have.
UNKNOWN = b"\xa2\x06\x03abc" + b"\xa8\x06\x96\x01" + b"\xb1\x06" + b"8" * 8 + b"\xb5\x06" + b"4444"


def message(size: int, chance: random.Random) -> pb.WorkRequest:
    """Make a WorkRequest with every field that there is."""

    def number() -> int:
        return chance.choice([0, 1, 127, 128, 16383, 16384, 2**32 - 1])

    task = pb.Task(
        seq=chance.choice([1, 300, 2**64 - 1]),
        lane=number(),
        function=number(),
        codec=chance.choice(["", "raw", "cbör"]),
        inline=bytes(size),
        timeout_nanos=2**63,
        metadata={"a": "b", "": "x", "ключ": ""},
        result_credit=number(),
        result_credit_bytes=2**40,
        streams_argument=chance.random() < 0.5,
        actor=chance.choice([0, 1, 2**53 - 1]),
        method=number(),
        attempt=number(),
    )
    sizes = [chance.randrange(300) for _ in range(chance.randrange(5))]
    return pb.WorkRequest(
        tasks=[task, pb.Task(seq=1), pb.Task(seq=2, inline=bytes(sum(sizes)), item_sizes=sizes)],
        values=[
            pb.StreamValue(seq=9, inline=b"v" * size),
            pb.StreamValue(seq=9, lane=1, end=True),
            pb.StreamValue(host_call=number(), inline=b"1"),
        ],
        credits=[pb.Credit(seq=9, values=3, bytes=1 << 40), pb.Credit(host_call=2, values=1)],
        host_replies=[
            pb.HostReply(id=4, inline=b"r" * size, worker=1, pid=2, wait_nanos=3, run_nanos=4),
            pb.HostReply(id=6, actor=chance.choice([1, 2**53 - 1]), inline=b""),
            pb.HostReply(id=5, failure=pb.Failure(message="no")),
        ],
    )


def rebuilt(data: bytes) -> pb.WorkRequest:
    """Put together again what was parsed."""
    request = _request.parse(data)
    made = pb.WorkRequest()
    for task in request.tasks:
        made.tasks.add(
            seq=task.seq,
            lane=task.lane,
            function=task.function,
            codec=task.codec,
            inline=bytes(task.payload),
            item_sizes=task.sizes,
            timeout_nanos=task.timeout_nanos,
            metadata=task.metadata,
            result_credit=task.credit,
            result_credit_bytes=task.credit_bytes,
            streams_argument=task.streams_argument,
            actor=task.actor,
            method=task.method,
            attempt=task.attempt,
        )
    for value in request.values:
        made.values.add(
            seq=value.seq,
            inline=None if value.end else bytes(value.payload),
            end=value.end,
            host_call=value.host_call,
        )
    for credit in request.credits:
        made.credits.add(
            seq=credit.seq, values=credit.values, bytes=credit.size, host_call=credit.host_call
        )
    for reply in request.replies:
        if reply.failure is None:
            made.host_replies.add(id=reply.id, inline=bytes(reply.result), actor=reply.actor)
        else:
            made.host_replies.add(id=reply.id, failure=pb.Failure.FromString(reply.failure))
    return made


@pytest.mark.parametrize("size", [0, 1, 127, 40_000, 300_000])
def test_a_message_says_what_the_generated_code_says(size: int) -> None:
    chance = random.Random(size)
    for _ in range(20):
        wanted = message(size, chance)
        data = wanted.SerializeToString()
        # What is not told apart, and what a worker has no use for.
        wanted.tasks[1].inline = b""
        wanted.values[1].lane = 0
        for field in ("worker", "pid", "wait_nanos", "run_nanos"):
            wanted.host_replies[0].ClearField(field)
        assert rebuilt(data) == wanted
        assert rebuilt(data + UNKNOWN) == wanted


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (pb.Task(method=1), "function"),
        (pb.Task(result_credit=1, result_credit_bytes=1), "stream"),
        (pb.Task(result_credit=1, streams_argument=True), "session"),
        (pb.Task(actor=1), "actor"),
        (pb.Task(actor=1, method=4294967295, result_credit=1, streams_argument=True), "actor"),
    ],
)
def test_how_a_task_is_called(task: pb.Task, kind: str) -> None:
    fields = [
        part.SerializeToString()
        for part in (
            pb.Task(actor=task.actor),
            pb.Task(result_credit=task.result_credit),
            pb.Task(streams_argument=task.streams_argument),
        )
    ]
    for order in itertools.permutations(fields):
        (parsed,) = _request.parse(_message.element(b"\x0a", b"".join(order))).tasks
        assert parsed.called_as == kind
    # Said, as no encoder does it, to be none of these.
    body = b"\x50\x00\x58\x00\x78\x00"
    (parsed,) = _request.parse(_message.element(b"\x0a", body)).tasks
    assert parsed.called_as == "function"


def test_sizes_that_are_not_packed() -> None:
    body = b"\x08\x02\x38\x01\x38\x02\x2a\x03abc" + UNKNOWN
    (task,) = _request.parse(_message.element(b"\x0a", body)).tasks
    assert (task.seq, task.sizes, task.payload) == (2, [1, 2], b"abc")


@pytest.mark.parametrize(
    "element",
    [
        pb.Task(segment=pb.SegmentRef(id=1)),
        pb.Task(inline=b"abc", item_sizes=[1, 1]),
        pb.StreamValue(segment=pb.SegmentRef(id=1)),
        pb.HostReply(segment=pb.SegmentRef(id=1)),
    ],
)
def test_what_must_not_come_is_refused(
    element: pb.Task | pb.StreamValue | pb.HostReply,
) -> None:
    tag = {pb.Task: b"\x0a", pb.StreamValue: b"\x1a", pb.HostReply: b"\x32"}[type(element)]
    with pytest.raises(_request.Malformed):
        _request.parse(_message.element(tag, element.SerializeToString()))


def test_nonsense_is_refused_or_means_something() -> None:
    chance = random.Random(3)
    refused = 0
    for _ in range(3000):
        data = bytearray(message(chance.randrange(50), chance).SerializeToString())
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            _request.parse(bytes(data[: chance.randrange(len(data) + 1)]))
        except _request.Malformed:
            refused += 1
    assert refused > 500


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\xff" * 11, b"\x0d\x01"])
def test_a_message_that_is_cut_is_refused(data: bytes) -> None:
    for parse in (_request.parse, _request.parse_hello, _request.parse_control):
        with pytest.raises(_request.Malformed):
            parse(data)


def test_hello_there_and_back() -> None:
    request = pb.HelloRequest(
        revision=2,
        capabilities=["pack", "log"],
        lanes=300,
        max_payload_bytes=1 << 28,
        recorder=True,
        log_level=pb.LOG_LEVEL_WARN,
    )
    wanted = _request.Hello({"pack", "log"}, 1 << 28, True, 3)
    assert _request.parse_hello(request.SerializeToString() + UNKNOWN) == wanted
    assert _request.parse_hello(b"") == _request.Hello(set(), 0, False, 0)

    def count(n: int, values: object) -> object:
        """Count."""

    task = _task.Task("session", "count", count, ("cbor", "json"), {})
    response = pb.HelloResponse.FromString(_message.hello([task], "1.2", ["pack"], 70000, True))
    assert response == pb.HelloResponse(
        sdk="procpool-python",
        sdk_version="1.2",
        language="python",
        revision=1,
        capabilities=["pack"],
        lanes=1,
        tasks=[
            pb.TaskDescription(
                name="count",
                input=task.input,
                output=task.output,
                codecs=["cbor", "json"],
                doc="Count.",
                kind=pb.TASK_KIND_SESSION,
                receives=task.receives,
            )
        ],
        pid=70000,
        recorder_open=True,
    )


def test_control_there_and_back() -> None:
    def parsed(request: pb.ControlRequest) -> tuple[str, int, int]:
        return _request.parse_control(request.SerializeToString() + UNKNOWN)

    assert parsed(pb.ControlRequest(cancel=pb.Cancel(lane=2, seq=300))) == ("cancel", 2, 300)
    assert parsed(pb.ControlRequest(cancel=pb.Cancel(seq=2**64 - 1))) == ("cancel", 0, 2**64 - 1)
    assert parsed(pb.ControlRequest(ping=pb.Ping(id=300))) == ("ping", 0, 300)
    assert parsed(pb.ControlRequest(drain=pb.Drain())) == ("", 0, 0)
    assert parsed(pb.ControlRequest()) == ("", 0, 0)
    response = pb.ControlResponse.FromString(_message.pong(300, 1 << 30))
    assert response == pb.ControlResponse(pong=pb.Pong(id=300, memory_bytes=1 << 30))


@pytest.mark.parametrize("size", [0, 1, 300, 40_000])
def test_outcomes_values_and_credit(size: int) -> None:
    for seq in (1, 127, 128, 20_000, 3_000_000, 2**64 - 1):
        payload = bytes(size)
        for pieces in (payload, (payload[: size // 2], memoryview(payload)[size // 2 :])):
            elements = [
                _message.outcome(seq, 12345, pieces, size),
                _message.declined(seq),
                _message.value(_message.value_head(seq), pieces, size),
                _message.credit(_message.value_head(seq), 1024, 1 << 20),
            ]
            data = b"".join(part for e in elements for part in ([e] if isinstance(e, bytes) else e))
            wanted = pb.WorkResponse(
                outcomes=[
                    pb.Outcome(seq=seq, run_nanos=12345, inline=payload),
                    pb.Outcome(seq=seq, declined=pb.Declined()),
                ],
                values=[pb.StreamValue(seq=seq, inline=payload)],
                credits=[pb.Credit(seq=seq, values=1024, bytes=1 << 20)],
            )
            assert pb.WorkResponse.FromString(data) == wanted
            assert [_message.size_of(e) for e in elements[:1]] == [
                len(pb.WorkResponse(outcomes=wanted.outcomes[:1]).SerializeToString())
            ]
