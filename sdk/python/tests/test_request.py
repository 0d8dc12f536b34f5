from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from procpool import _request
from procpool._gen import worker_pb2 as pb


def message(size: int) -> pb.WorkRequest:
    task = pb.Task(
        seq=300, function=7, codec="raw", inline=bytes(size), timeout_nanos=5, metadata={"a": "b"}
    )
    return pb.WorkRequest(
        tasks=[task, pb.Task(seq=1), pb.Task(seq=2, inline=b"xy", item_sizes=[1, 1])],
        values=[pb.StreamValue(seq=9, inline=b"v" * size), pb.StreamValue(seq=9, end=True)],
        credits=[pb.Credit(seq=9, values=3, bytes=1 << 40)],
        host_replies=[
            pb.HostReply(id=4, inline=b"r", worker=1),
            pb.HostReply(id=5, failure=pb.Failure(message="no")),
        ],
    )


def parsed(data: bytes) -> pb.WorkRequest:
    """Put together again what was parsed."""
    request = _request.parse(data)
    made = pb.WorkRequest(credits=request.credits)
    for task, payload in request.tasks:
        task.inline = bytes(payload)
        made.tasks.append(task)
    for value, payload in request.values:
        if not value.end:
            value.inline = bytes(payload)
        made.values.append(value)
    for reply, payload in request.host_replies:
        if not reply.HasField("failure"):
            reply.inline = bytes(payload)
        made.host_replies.append(reply)
    return made


@pytest.mark.parametrize("size", [0, 1, 100_000, 300_000])
def test_a_message_is_the_same_however_it_is_parsed(size: int) -> None:
    wanted = message(size)
    wanted.tasks[1].inline = b""  # not told apart from a missing one
    assert parsed(wanted.SerializeToString()) == wanted


def test_what_is_not_known_is_passed_over() -> None:
    more = b"\xa2\x06\x03abc" + b"\xa8\x06\x96\x01" + b"\xb1\x06" + b"8" * 8 + b"\xb5\x06" + b"4444"
    task = pb.Task(seq=3, inline=bytes(300_000)).SerializeToString() + more
    data = pb.WorkRequest(tasks=[pb.Task.FromString(task)]).SerializeToString() + more
    request = _request.parse(data)
    assert [(task.seq, len(payload)) for task, payload in request.tasks] == [(3, 300_000)]


@pytest.mark.parametrize("cut", [1, 5, 300_000])
def test_a_message_that_is_cut_is_refused(cut: int) -> None:
    data = pb.WorkRequest(tasks=[pb.Task(seq=3, inline=bytes(700_000))]).SerializeToString()
    with pytest.raises((ValueError, DecodeError)):
        _request.parse(data[:-cut])


@pytest.mark.parametrize("end", [b"\x0b", b"\xff" * 11, b"\x0a"])
def test_nonsense_is_refused(end: bytes) -> None:
    data = pb.WorkRequest(tasks=[pb.Task(inline=bytes(300_000))]).SerializeToString()
    with pytest.raises((ValueError, DecodeError)):
        _request.parse(data + end)
