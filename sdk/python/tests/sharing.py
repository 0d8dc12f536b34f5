"""Hosts that keep shared state, for tests: one that follows a script, and one that does it."""

from __future__ import annotations

import contextvars
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import cbor2
from running import Call

from procpool import _runtime
from procpool._gen import worker_pb2 as pb
from procpool._runtime import HostAnswer

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from google.protobuf.message import Message
    from host import Worker

    from procpool._runtime import HostRequest

    Step = dict[str, Any] | pb.Failure | None


def failure(code: str, message: str) -> pb.Failure:
    """Return how an operation fails, with that code."""
    return pb.Failure(kind=pb.FAILURE_KIND_TASK, type="shared", code=code, message=message)


class Scripted(Call):
    """A running call whose operations are answered by a script."""

    def __init__(self) -> None:
        super().__init__()
        self._script: deque[Step] = deque()
        self.in_waiting: Callable[[], None] | None = None  # called where the task waits

    def script(self, *steps: Step) -> None:
        """Say how the next operations are answered; None is for not at once."""
        self._script.extend(steps)

    def answer(self, step: Step, number: int = -1) -> None:
        """Answer an operation."""
        if isinstance(step, pb.Failure):
            self.answers[number](HostAnswer(failure=step))
        else:
            self.answers[number](HostAnswer(cbor2.dumps(step)))

    def asked(self, number: int = -1) -> tuple[str, dict[str, Any]]:
        """Return the name and the arguments of an operation."""
        request = self.requests[number]
        return request.name, cbor2.loads(bytes(request.argument))  # type: ignore[arg-type]

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the operations of which no answer is wanted."""
        return [(told.name, cbor2.loads(told.argument)) for told in self.told]  # type: ignore[arg-type]

    def in_context(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return work such that it sees this call in whatever thread."""
        context = contextvars.Context()
        context.run(_runtime.current_call.set, self)
        return lambda: context.run(work)

    def call_host(
        self, request: HostRequest, done: Callable[[HostAnswer], None]
    ) -> Callable[[], None]:
        give_up = super().call_host(request, done)
        step = self._script.popleft()
        if step is not None:
            self.answer(step)
        return give_up

    def waiting(self) -> contextlib._GeneratorContextManager[None]:
        if self.in_waiting is not None:
            self.in_waiting()
        return super().waiting()


class Asked(NamedTuple):
    """An operation that somebody waits for or was granted."""

    id: int
    call: int
    ticket: int


class Mutexes:
    """The mutexes of a worker's host. They are granted when the test says so.

    To be given to a worker as its take_event.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.waiting: deque[Asked] = deque()
        self.held: Asked | None = None
        self.left: dict[int, bool] = {}  # by call: whether it held the lock at its end
        self.unseen = 0
        self.granted = 0

    def __call__(self, event: Message) -> bool:
        """Take an event, and tell whether it was for this."""
        if isinstance(event, pb.HostCall) and event.kind == pb.TASK_KIND_SHARED:
            arguments = cbor2.loads(event.inline)
            ticket = arguments["ticket"]
            if event.name == "mutex.lock":
                assert not event.no_reply
                self.waiting.append(Asked(event.id, event.parent_seq, ticket))
            elif event.name == "mutex.unlock":
                assert event.no_reply
                self._unlock(event.parent_seq, ticket, arguments.get("unseen", False))
            else:
                raise AssertionError(event)
        elif isinstance(event, pb.HostCancel):
            for asked in list(self.waiting):
                if asked.id == event.id:
                    self.waiting.remove(asked)
                    self._reply(asked, pb.Failure(kind=pb.FAILURE_KIND_CANCELLED))
        elif isinstance(event, pb.Outcome):
            self.left[event.seq] = self.held is not None and self.held.call == event.seq
            if self.left[event.seq]:
                self.held = None
            return False
        else:
            return False
        return True

    def grant(self) -> bool:
        """Grant the lock to who waits first; tell whether somebody got it."""
        with self._worker._news:
            if self.held is not None or not self.waiting:
                return False
            self.held = self.waiting.popleft()
            self.granted += 1
            self._reply(self.held, None)
            return True

    def _unlock(self, call: int, ticket: int, unseen: bool) -> None:
        if self.held is not None and (self.held.call, self.held.ticket) == (call, ticket):
            self.held = None
            self.unseen += unseen
        else:
            # Nothing was granted, which only who gave it up can't know.
            assert unseen, f"call {call} unlocks what it does not hold"
            waits = [asked for asked in self.waiting if asked.ticket == ticket]
            assert not waits, "it was to be given up before it is given back"

    def _reply(self, asked: Asked, failed: pb.Failure | None) -> None:
        reply = pb.HostReply(id=asked.id, inline=cbor2.dumps({}))
        if failed is not None:
            reply = pb.HostReply(id=asked.id, failure=failed)
        self._worker.send(pb.WorkRequest(host_replies=[reply]))
