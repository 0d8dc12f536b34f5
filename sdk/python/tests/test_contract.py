"""The host of these tests notices what breaks the contract."""

from __future__ import annotations

from typing import Any

import pytest
from contract import Ledger, Violation

from procpool._gen import worker_pb2 as pb


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger(max_payload=100)
    made.sent(
        pb.WorkRequest(
            tasks=[
                pb.Task(seq=1, item_sizes=[0, 0]),
                pb.Task(seq=3, result_credit=1, result_credit_bytes=10),
                pb.Task(
                    seq=1, lane=1, result_credit=5, result_credit_bytes=5, streams_argument=True
                ),
            ]
        )
    )
    return made


def say(ledger: Ledger, **fields: Any) -> list[Any]:
    return ledger.received(pb.WorkResponse(**fields).SerializeToString())


def outcome(seq: int, lane: int = 0, **fields: Any) -> pb.Outcome:
    return pb.Outcome(seq=seq, lane=lane, **fields)


def value(seq: int, data: bytes = b"", lane: int = 0, **fields: Any) -> pb.StreamValue:
    return pb.StreamValue(seq=seq, lane=lane, inline=data, **fields)


def test_what_is_right(ledger: Ledger) -> None:
    events = say(
        ledger,
        outcomes=[outcome(1), outcome(2), outcome(1, 1), outcome(3)],
        values=[value(3, b"abc")],
        logs=[pb.Log(message="x")],
        host_calls=[pb.HostCall(id=1, parent_seq=1)],
    )
    assert [type(event).__name__ for event in events] == [
        *("Log", "HostCall", "StreamValue"),
        *["Outcome"] * 4,
    ]
    assert ledger.unanswered() == ledger.unanswered(1) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"outcomes": [outcome(2)]},
        {"outcomes": [outcome(9)]},
        {"outcomes": [outcome(1), outcome(1)]},
        {"outcomes": [outcome(1, declined=pb.Declined())]},
        {"outcomes": [outcome(1, inline=bytes(101))]},
        {"outcomes": [outcome(1, segment=pb.SegmentRef())]},
        {"outcomes": [outcome(1), outcome(2), outcome(3, inline=b"a")]},
        {"values": [value(1)]},
        {"values": [value(3, end=True)]},
        {"values": [value(3), value(3)]},
        {"values": [value(3, bytes(101))]},
        {"values": [value(0, host_call=1)]},
        {"credits": [pb.Credit(seq=3, values=1)]},
        {"host_calls": [pb.HostCall(id=0, parent_seq=1)]},
        {"host_calls": [pb.HostCall(id=1, parent_seq=9)]},
        {"host_calls": [pb.HostCall(id=1, parent_seq=1)] * 2},
        {"host_calls": [pb.HostCall(id=1, parent_seq=1, no_reply=True)]},
        {"host_calls": [pb.HostCall(id=1, parent_seq=1, kind="TASK_KIND_SHARED", codec="json")]},
        {"host_cancels": [pb.HostCancel(id=1)]},
        {"logs": [pb.Log()] * 65537},
    ],
)
def test_what_is_not(ledger: Ledger, fields: dict[str, Any]) -> None:
    with pytest.raises(Violation):
        say(ledger, **fields)


def test_declined(ledger: Ledger) -> None:
    ledger.cancelled(0, 1)
    ledger.fenced(0, 2)
    say(ledger, outcomes=[outcome(1, declined=pb.Declined())])
    with pytest.raises(Violation, match="without a reason"):
        say(ledger, outcomes=[outcome(2, declined=pb.Declined())])
    ledger.fenced(0, 1)
    say(ledger, outcomes=[outcome(2, declined=pb.Declined())])


def test_credit(ledger: Ledger) -> None:
    say(ledger, values=[value(1, b"large enough to go below zero", 1)])
    with pytest.raises(Violation, match="without credit"):
        say(ledger, values=[value(1, b"", 1)])
    ledger.sent(pb.WorkRequest(credits=[pb.Credit(seq=1, lane=1, values=1, bytes=100)]))
    say(ledger, values=[value(1, b"", 1)], credits=[pb.Credit(seq=1, lane=1, values=1, bytes=1)])
    ledger.sent(pb.WorkRequest(values=[value(1, b"abc", 1)]))
    with pytest.raises(AssertionError, match="the test sends a value without credit"):
        ledger.sent(pb.WorkRequest(values=[value(1, b"", 1)]))


def test_after_its_outcome_a_call_says_nothing(ledger: Ledger) -> None:
    say(ledger, outcomes=[outcome(1, 1)], credits=[pb.Credit(seq=1, lane=1, values=1)])
    say(ledger, credits=[pb.Credit(seq=1, lane=1, values=1)])  # is dropped
    with pytest.raises(Violation):
        say(ledger, values=[value(1, b"", 1)])


def test_a_message_that_is_too_large(ledger: Ledger) -> None:
    with pytest.raises(Violation, match="a message of"):
        say(ledger, opening=bytes(1 << 21))
