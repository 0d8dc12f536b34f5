"""What a host checks of what its worker says: see "Violations" in docs/protocol.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from procpool import _request
from procpool._gen import worker_pb2

MAX_ELEMENTS = 65536

Event: TypeAlias = (
    worker_pb2.Progress
    | worker_pb2.Log
    | worker_pb2.HostCall
    | worker_pb2.HostCancel
    | worker_pb2.StreamValue
    | worker_pb2.Credit
    | worker_pb2.Outcome
)
Call: TypeAlias = tuple[int, int]  # lane and number


class Violation(AssertionError):
    """The worker broke the contract."""


class Flow:
    """The counts of one direction of a stream: values and bytes."""

    def __init__(self, values: int = 0, size: int = 0) -> None:
        self.values, self.size = values, size

    def add(self, values: int, size: int) -> None:
        self.values += values
        self.size += size

    def use(self, size: int) -> bool:
        if self.values <= 0 or self.size <= 0:
            return False
        self.add(-1, -size)
        return True


class Ledger:
    """The calls of a connection, what was said of them and what may be said next."""

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._open: dict[int, list[int]] = {}  # by lane, in order
        self._cancelled: set[Call] = set()
        self._fenced: dict[int, int] = {}  # by lane: the lowest fence there was
        self.from_worker: dict[Call, Flow] = {}
        self.to_worker: dict[Call, Flow] = {}
        self.to_host_call: dict[int, Flow] = {}  # streams that the worker has called
        self._host_calls: set[int] = set()
        self._answered: set[int] = set()

    def sent(self, request: worker_pb2.WorkRequest) -> None:
        """Note what the host sends."""
        for task in request.tasks:
            for item in range(max(1, len(task.item_sizes))):
                call = (task.lane, task.seq + item)
                self._open.setdefault(task.lane, []).append(task.seq + item)
                if task.result_credit:
                    self.from_worker[call] = Flow(task.result_credit, task.result_credit_bytes)
                if task.streams_argument:
                    self.to_worker[call] = Flow()
        for credit in request.credits:
            if flow := self.from_worker.get((credit.lane, credit.seq)):
                flow.add(credit.values, credit.bytes)
        for value in request.values:
            if value.host_call:
                if not self.to_host_call[value.host_call].use(len(value.inline)):
                    raise AssertionError(
                        f"the test sends a value beyond credit to {value.host_call}"
                    )
                continue
            flow = self.to_worker.get((value.lane, value.seq))
            if flow and not value.end and not flow.use(len(value.inline)):
                raise AssertionError(f"the test sends a value without credit to {value.seq}")
        for reply in request.host_replies:
            self._answered.add(reply.id)
            self.to_host_call.pop(reply.id, None)

    def cancelled(self, lane: int, seq: int) -> None:
        """Note a Cancel."""
        self._cancelled.add((lane, seq))

    def fenced(self, lane: int, fence: int) -> None:
        """Note a fence."""
        self._fenced[lane] = min(fence, self._fenced.get(lane, fence))

    def unanswered(self, lane: int = 0) -> list[int]:
        """Return the calls that have no outcome yet."""
        return list(self._open.get(lane, []))

    def received(self, data: bytes) -> list[Event]:
        """Check a message of the worker's; return what it says in the order of handling."""
        if len(data) > self._max_payload + (1 << 20):
            raise Violation(f"a message of {len(data)} bytes")
        response = worker_pb2.WorkResponse.FromString(data)
        fields: dict[int, Iterator[Event]] = {
            0x22: iter(response.progress),
            0x2A: iter(response.logs),
            0x32: iter(response.host_calls),
            0x3A: iter(response.host_cancels),
        }
        events: list[Event] = [
            *(next(fields[tag]) for tag, _ in _request._fields(data) if tag in fields),
            *response.values,
            *response.credits,
            *response.outcomes,
        ]
        if len(events) > MAX_ELEMENTS:
            raise Violation(f"a message of {len(events)} elements")
        for event in events:
            self._check(event)
        return events

    def _check(self, event: Event) -> None:
        if isinstance(event, worker_pb2.Outcome):
            self._outcome(event)
        elif isinstance(event, worker_pb2.StreamValue):
            self._value(event)
        elif isinstance(event, worker_pb2.Credit):
            self._credit(event)
        elif isinstance(event, worker_pb2.HostCall):
            if event.id == 0 or event.id in self._host_calls - self._answered:
                raise Violation(f"a HostCall with the number {event.id}")
            if event.parent_seq not in self._open.get(event.parent_lane, []):
                raise Violation(f"a HostCall of {event.parent_seq}, which does not run")
            if (event.kind == worker_pb2.TASK_KIND_STREAM) != (event.result_credit > 0):
                raise Violation(f"a HostCall of the kind {event.kind} with credit or without")
            if event.kind == worker_pb2.TASK_KIND_SHARED and event.codec != "cbor":
                raise Violation(f"an operation on shared state in the codec {event.codec!r}")
            if event.no_reply:
                if event.kind != worker_pb2.TASK_KIND_SHARED:
                    raise Violation(f"a HostCall of the kind {event.kind} that wants no answer")
                return  # its number is not in use
            if event.result_credit:
                flow = Flow(event.result_credit, event.result_credit_bytes)
                self.to_host_call[event.id] = flow
            self._host_calls.add(event.id)
        elif isinstance(event, worker_pb2.HostCancel) and event.id not in self._host_calls:
            raise Violation(f"a HostCancel of {event.id}, which is none")

    def _outcome(self, outcome: worker_pb2.Outcome) -> None:
        lane, seq = outcome.lane, outcome.seq
        waiting = self._open.get(lane, [])
        if not waiting or waiting[0] != seq:
            raise Violation(f"an outcome of call {seq} on lane {lane}, where {waiting[:5]} are due")
        if len(outcome.inline) > self._max_payload:
            raise Violation(f"a result of {len(outcome.inline)} bytes")
        if outcome.HasField("declined"):
            fence = self._fenced.get(lane)
            if (lane, seq) not in self._cancelled and (fence is None or seq <= fence):
                raise Violation(f"call {seq} on lane {lane} was declined without a reason")
        if outcome.HasField("segment"):
            raise Violation("an outcome with a segment")
        if (lane, seq) in self.from_worker and outcome.inline:
            raise Violation(f"the outcome of the stream {seq} has a result")
        waiting.pop(0)
        for flows in (self.from_worker, self.to_worker):
            flows.pop((lane, seq), None)

    def _value(self, value: worker_pb2.StreamValue) -> None:
        if value.host_call:
            raise Violation("a value for a nested call, which this host does not take")
        flow = self.from_worker.get((value.lane, value.seq))
        if flow is None:
            raise Violation(f"a value of call {value.seq}, which is no stream that runs")
        if value.end:
            raise Violation(f"an end of the stream {value.seq}: that is its outcome's to say")
        if len(value.inline) > self._max_payload:
            raise Violation(f"a value of {len(value.inline)} bytes")
        if not flow.use(len(value.inline)):
            raise Violation(f"a value of call {value.seq} without credit")

    def _credit(self, credit: worker_pb2.Credit) -> None:
        if credit.host_call:
            if credit.host_call not in self._host_calls:
                raise Violation(f"credit for the HostCall {credit.host_call}, which is none")
            if stream := self.to_host_call.get(credit.host_call):
                stream.add(credit.values, credit.bytes)
            return
        if credit.seq not in self._open.get(credit.lane, []):
            return  # credit for a call that has ended is dropped
        flow = self.to_worker.get((credit.lane, credit.seq))
        if flow is None:
            raise Violation(f"credit for call {credit.seq}, which is no session")
        flow.add(credit.values, credit.bytes)
