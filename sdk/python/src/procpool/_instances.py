"""The actors that live in this worker: what a call of one of them is a call of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ._actor import Actor
from ._call import UnknownTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._request import Task as Wire
    from ._runtime import Payload
    from ._task import Task

# What Task.method says besides the number of a method, which counts from 1.
_OPEN, _CLOSE = 0, (1 << 32) - 1


class Instance(NamedTuple):
    """An actor that lives here."""

    actor: Actor
    state: Any
    methods: list[Task]  # bound to the state


class Instances:
    """Those of this process, by the host's numbers. For the main thread alone.

    A call of an actor is made an ordinary one: of a task that is bound to the instance.
    """

    def __init__(self) -> None:
        self._all: dict[int, Instance] = {}

    def task_of(self, task: Task, wire: Wire) -> Task:
        """Return the task of a call, named by a number of an actor, that is about to start.

        Where there is none it is one that fails.
        """
        found = self._all.get(wire.actor)
        method = wire.method
        if (
            found is not None
            and found.actor is task
            and 0 < method <= len(found.methods)
            and _is_plain(wire)
        ):
            wire.codec = wire.codec or found.actor.codecs[0]  # not the method's
            return found.methods[method - 1]
        if not isinstance(task, Actor):
            return task  # of another kind than it was called as
        return self._other_step(task, wire, found)

    def _other_step(self, actor: Actor, wire: Wire, found: Instance | None) -> Task:
        """Return what opens or closes an actor, or refuses what can't be."""
        number, method = wire.actor, wire.method
        if not _is_plain(wire):
            return _Refusal(
                actor, f"{actor.name!r} is an actor, and was called as a stream or packed"
            )
        if method == _OPEN:
            if found is not None:
                return _Refusal(actor, f"an actor of the number {number} lives here already")
            return _Opening(actor, lambda state: self._keep(number, actor, state))
        if method == _CLOSE and found is None:
            return _Closing(actor, _nothing, False, lambda: None)
        if found is None or found.actor is not actor:
            why = f"no actor {actor.name!r} of the number {number} lives in this worker"
            named = method <= len(actor.methods)
            return _Refusal(actor, why, actor.methods[method - 1].name if named else actor.name)
        if method == _CLOSE:
            close = (lambda: found.state.close()) if actor.closes else _nothing
            return _Closing(actor, close, actor.close_is_async, lambda: self._forget(number))
        return _Refusal(actor, f"the actor {actor.name!r} has no method of the number {method}")

    def _keep(self, number: int, actor: Actor, state: object) -> None:
        methods = [method.of(state) for method in actor.methods]
        self._all[number] = Instance(actor, state, methods)

    def _forget(self, number: int) -> None:
        self._all.pop(number, None)


def _is_plain(wire: Wire) -> bool:
    """Tell whether it is one call, with which no values travel."""
    return wire.sizes is None and not wire.credit and not wire.streams_argument


def _nothing() -> None:
    """Stand for the close of a state that has none."""


class _Step(Actor):
    """What is done to an actor, in the shape of a task."""

    def __init__(self, actor: Actor) -> None:
        vars(self).update(vars(actor))


class _Opening(_Step):
    """Makes the state; its result stays here."""

    def __init__(self, actor: Actor, keep: Callable[[object], None]) -> None:
        super().__init__(actor)
        self._keep = keep

    def encode(self, codec: str, value: Any) -> Payload:
        self._keep(value)
        return b""


class _Closing(_Step):
    """Closes the state, which is forgotten whatever becomes of that."""

    def __init__(
        self, actor: Actor, close: Callable[[], Any], is_async: bool, forget: Callable[[], None]
    ) -> None:
        super().__init__(actor)
        self.function = lambda _: close()
        self.is_async = is_async
        self._forget = forget

    def decode(self, codec: str, data: bytes | memoryview) -> None:
        self._forget()

    def encode(self, codec: str, value: Any) -> Payload:
        return b""


class _Refusal(_Step):
    """Fails, since the host means what there is not."""

    def __init__(self, actor: Actor, why: str, name: str = "") -> None:
        super().__init__(actor)
        self.name = name or actor.name
        self._why = why

    def decode(self, codec: str, data: bytes | memoryview) -> None:
        raise UnknownTask(self._why)
