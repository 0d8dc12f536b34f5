"""Cancelled at every place where Python may raise it: nothing is held that nobody knows of."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from sharing import Scripted

from procpool import Cancelled, _cancel, _waits, shared

if TYPE_CHECKING:
    from types import FrameType

    from procpool._runtime import HostAnswer, HostRequest, Shield

guard = shared.Mutex("guard")
slots = shared.Semaphore("slots", 3)
total = shared.Counter("total")
jobs = shared.Queue("jobs", 10, of=str)
Known = list[Any]  # what the task has in its hands


class Granting(Scripted):
    """A call whose operations succeed when it waits for them."""

    def __init__(self, interrupter: _cancel.Interrupter) -> None:
        super().__init__()
        self.connection = SimpleNamespace(interrupter=interrupter)
        lane: Any = SimpleNamespace(current=self, record=None)
        self.all_waits = _waits.Waits(lane)

    @property
    def shield(self) -> Shield:
        shield: Shield = self.connection.interrupter
        return shield

    def call_host(
        self, request: HostRequest, done: Callable[[HostAnswer], None]
    ) -> Callable[[], None]:
        with self.shield:
            self.script(None)
            return super().call_host(request, done)

    def tell_host(self, request: HostRequest) -> None:
        with self.shield:
            super().tell_host(request)

    def waiting(self) -> Any:
        with self.shield:
            self.answer({"value": cbor2.dumps("item"), "delivery": 1})
        return self.all_waits.of(self)  # type: ignore[arg-type]

    def held(self) -> set[int]:
        """Return the tickets of what the host has granted and not got back."""
        tickets: set[int] = set()
        for number in range(len(self.requests)):
            name, arguments = self.asked(number)
            if name == "queue.done":
                tickets.remove(arguments["ticket"])
            elif "ticket" in arguments:
                tickets.add(arguments["ticket"])
        for name, arguments in self.heard():
            assert name in ("mutex.unlock", "semaphore.release", "queue.return")
            tickets.remove(arguments["ticket"])
        return tickets


# Tasks. What they know of they have put among what is known, unless a with block has it.


def blocks(_: Known) -> None:
    with guard:
        total.add(1)
    with slots, slots:
        pass


def named_blocks(known: Known) -> None:
    with guard.lock(timeout=60) as held:
        assert not held.abandoned
    with slots.acquire(2):
        pass


def by_hand(known: Known) -> None:
    held = guard.lock()
    known.append(held)
    held.unlock()
    permits = slots.try_acquire(2)
    known.append(permits)


def by_hand_of_others(known: Known) -> None:
    """It is called by code in C, which adds a place: what that has returned has no name yet."""
    held = next(iter(guard.lock, None))
    known.append(held)
    permits = next(map(slots.acquire, [2]))
    known.append(permits)


def items(known: Known) -> None:
    with jobs.get() as item:
        assert item.value == "item"
    kept = jobs.try_get()
    known.append(kept)


def loops(known: Known) -> None:
    rounds = 0
    for item in jobs:
        with item:
            rounds += 1
        if rounds == 2:
            return


def cancelled_behind(step: int, interrupter: _cancel.Interrupter, task: Any) -> bool:
    """Run the task and cancel it when it has gone so many steps; False if it has not so many.

    Python looks for signals where a function begins and where one in C has returned; from
    the step on it finds one everywhere.
    """
    running: Any = SimpleNamespace(cancelled=False, told=False, over=False)
    call = Granting(interrupter)
    known: Known = []
    steps = 0

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal steps
        if event in ("call", "c_return"):
            steps += 1
            if steps > step:
                running.cancelled = True
                interrupter._handle(signal.SIGURG, frame)

    def run() -> None:
        sys.setprofile(look)
        try:
            task(known)
        finally:
            sys.setprofile(None)

    cancelled = False
    with call.running():
        try:
            interrupter.run(running, run)
        except Cancelled:
            cancelled = True
    assert interrupter._shields == 0
    assert call.all_waits._count == 0
    known_of = {what._granted.ticket for what in known if not what._granted.over}
    assert call.held() <= known_of, f"cancelled behind step {step} of {steps}"
    assert cancelled or call.held() == known_of
    return steps > step


@pytest.mark.parametrize("task", [blocks, named_blocks, by_hand, by_hand_of_others, items, loops])
def test_every_place(interrupter: _cancel.Interrupter, task: Callable[[Known], None]) -> None:
    step = 0
    while cancelled_behind(step, interrupter, task):
        step += 1
    assert step > 100
