"""The lane: runs calls in the main thread, one after the other, and answers each."""

from __future__ import annotations

from collections import defaultdict
from queue import SimpleQueue
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from . import _message, _process, _streams
from ._call import Call, Shared, TooLarge, UnknownTask
from ._cancel import Wake
from ._runtime import current_call
from ._task import A_KIND

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._aio import Loop
    from ._connection import Connection
    from ._instances import Instances
    from ._recorder import LaneRecord
    from ._request import Encoded
    from ._request import Task as Wire
    from ._runtime import Payload
    from ._task import Task

# A call of a function that has always taken less than that many nanoseconds starts although
# replies wait for others to share a message with, so long or so many bytes. They are in the
# journal, so they are safe; but a call that takes its time must not hold them up.
_SHARE_BELOW = 20_000
_SHARE_FOR = 300_000
_SHARE_BYTES = 32 << 10
# A function that was always short runs long this time: they are sent in that many seconds.
_LATE = 0.005
# The room in the journal below which it is emptied before the next call.
_JOURNAL_ROOM = 16 << 10
# How many calls that never come a host can make a worker remember.
_MARKS = 1 << 16
# What makes a handle of a Go program on a task of a kind.
_HANDLES = {
    "function": "Remote",
    "stream": "RemoteStream",
    "session": "RemoteSession",
    "actor": "RemoteActor",
}


class Lane:
    """The only lane of a worker: run is for the main thread.

    put, cancel and port are for the connection's; leave may be called by any.
    """

    def __init__(self, tasks: Sequence[Task], loop: Callable[[], Loop]) -> None:
        self.current: Call | None = None
        self.record: LaneRecord | None = None
        self._tasks = tasks
        self._loop = loop
        self._connection: Connection
        self._queue: SimpleQueue[tuple[list[Wire], float] | None] = SimpleQueue()
        self._leaving = False
        self._forked = False
        self._marks: set[int] = set()  # calls that were given up and perhaps did not start
        self._reached = 0  # the last call that was taken up
        self._instances: Instances | None = None  # if any call was of an actor
        # A decayed maximum of the run time of each task and method; 0: unknown.
        self._costs: defaultdict[str, int] = defaultdict(int)
        self._answered = 0  # the number of the last outcome among what is to be sent
        self._ended = 0  # when the last call ended
        self._oldest = 0  # when the first one ended whose outcome is not sent yet
        self._unsent = 0  # bytes of such outcomes
        self._owed = False  # whether an outcome may be neither in the journal nor the kernel's

    def begin(self, connection: Connection, record: LaneRecord | None) -> None:
        """Take note of the connection on which the calls come, and of the recorder if any."""
        self._connection, self.record = connection, record

    def forked(self) -> None:
        """Take note that this process is a child of the worker that is not to answer."""
        self.record = None
        self._forked = True

    def put(self, tasks: list[Wire], arrived: float) -> None:
        """Queue the tasks of a message. Does not block."""
        self._queue.put((tasks, arrived))

    def leave(self) -> None:
        """Have run return as soon as no call runs."""
        self._leaving = True
        self._queue.put(None)

    def cancel(self, seq: int) -> None:
        """Give up a call: one that runs is interrupted, one that has not started never will.

        The main thread makes the call current, then looks for a mark. Here the mark is set
        first and then the current call looked at: one of the two sees the other.
        """
        call = self.current
        if seq <= self._reached and (call is None or call.seq != seq):
            return  # it has ended
        if len(self._marks) >= _MARKS:
            self._marks = {mark for mark in tuple(self._marks) if mark >= self._reached}
        if len(self._marks) < _MARKS:
            self._marks.add(seq)
        call = self.current
        if call is not None and call.seq == seq:
            call.cancel()

    def port(self, seq: int, host_call: int) -> _streams.Port[Any] | None:
        """Return the port of a call, None if it does not run or does not run here."""
        call = self.current
        return call.port if call is not None and call.seq == seq and not host_call else None

    def run(self) -> None:
        """Run calls until leave was called."""
        queue = self._queue
        while not self._leaving:
            if queue.empty() and self._answered:
                self._connection.outgoing.push()
            if (batch := queue.get()) is not None:
                for wire in batch[0]:
                    self._take(wire, batch[1])

    def _take(self, wire: Wire, arrived: float) -> None:
        """Run the call, or the calls, of a Task."""
        task = self._tasks[wire.function] if wire.function < len(self._tasks) else None
        if wire.actor and task is not None:
            task = self._of_actor(task, wire)
        shared = Shared(wire, task, arrived)
        payload = wire.payload
        wire.payload = b""  # which may be large, and is only its call's
        if wire.sizes is None:
            if not self._leaving:
                self._step(shared, wire.seq, payload)
            return
        begin = 0
        for seq, size in enumerate(wire.sizes, wire.seq):
            if self._leaving:
                return
            end = begin + size
            self._step(shared, seq, payload[begin:end])
            begin = end

    def _of_actor(self, task: Task, wire: Wire) -> Task:
        if self._instances is None:
            from ._instances import Instances

            self._instances = Instances()
        return self._instances.task_of(task, wire)

    def _step(self, shared: Shared, seq: int, payload: Encoded) -> None:
        """See a call from its start to its outcome."""
        connection, record = self._connection, self.record
        if self._answered > connection.outgoing.written:
            self._settle(self._costs[shared.task.name] if shared.task else 0)
        elif record is not None and record.used:
            record.empty()
        self.current = call = Call(connection, shared, seq)
        self._reached = seq
        began = monotonic_ns()
        given_up = bool(self._marks) and seq in self._marks
        if given_up or not (record is None or record.start(seq, began)):
            self.current = None
            self._marks.discard(seq)
            self._answer(_message.declined(seq), began)
            return

        outcome: Payload
        current_call.set(call)
        try:
            result = self._execute(call, shared, payload)
            size = _message.size_of(result)
            if 0 < connection.max_payload < size:
                raise TooLarge("the result", call.task.name, size, connection.max_payload)
            ended = monotonic_ns()
            outcome = _message.outcome(seq, ended - began, result, size)
        except BaseException as error:
            from . import _rare

            ended = monotonic_ns()
            outcome = _rare.failed(seq, ended - began, error, shared.task)
        if self._forked:
            _process.fail("procpool: a child process has come back from the task that forked it")
        current_call.set(None)

        self.current = None
        if self._marks:
            self._marks.discard(seq)
        connection.waits.ended()
        call.end()
        if call.port is not None:
            call.port.close()
        ran = ended - began
        if shared.task:
            name = shared.task.name
            cost = self._costs[name] // 2
            self._costs[name] = ran if ran > cost else cost
        self._answer(outcome, ended, finished=seq)

    def _execute(self, call: Call, shared: Shared, payload: Encoded) -> Payload:
        """Run the function, and return what it has returned, encoded."""
        task = shared.task
        if task is None:
            raise UnknownTask(f"this worker serves no task of the number {shared.wire.function}")
        kind, called_as = task.kind, shared.called_as
        if kind != called_as:
            raise UnknownTask(
                f"procpool: task {task.name!r} was called as {A_KIND[called_as]} and is "
                f"{A_KIND[kind]} in this worker: call it by a handle of that kind, which is "
                f"procpool.{_HANDLES[kind]} in Go"
            )
        argument = task.decode(shared.codec, payload)
        if kind != "function" and kind != "actor":
            self._execute_stream(call, shared, argument)
            return b""
        if task.is_async:
            result = self._loop().run(call, task.function(argument))
        else:
            result = self._connection.interrupter.run(call, task.function, argument)
        return task.encode(shared.codec, result)

    def _execute_stream(self, call: Call, shared: Shared, argument: object) -> None:
        takes_input = call.task.kind == "session"
        credit, size = shared.wire.credit, shared.wire.credit_bytes
        if call.task.is_async:
            from . import _aio

            loop = self._loop()
            room, ready = loop.wake(), loop.wake()
            awaited = _streams.Port(call, credit, size, room, ready)
            awaited.open(takes_input)
            loop.run(call, _aio.stream(call, awaited, argument, takes_input))
        else:
            port = _streams.Port(call, credit, size, Wake(), Wake())
            port.open(takes_input)
            _streams.run(call, port, argument, takes_input)

    def _settle(self, cost: int) -> None:
        """Do what is due before a call starts whose function takes that long, 0: unknown."""
        outgoing, record = self._connection.outgoing, self.record
        if self._owed or (record is not None and record.room < _JOURNAL_ROOM):
            outgoing.await_written(self._answered)
            self._owed = False
        elif outgoing.covered < self._answered:
            if not 0 < cost < _SHARE_BELOW:
                outgoing.await_covered(self._answered)
            elif self._ended - self._oldest >= _SHARE_FOR or self._unsent >= _SHARE_BYTES:
                outgoing.push()
            else:
                self._connection.push_later(_LATE)
        if record is not None and record.used and outgoing.written >= self._answered:
            record.empty()

    def _answer(self, outcome: Payload, ended: int, finished: int = 0) -> None:
        """Give the call its outcome; finished is its number if it has run."""
        outgoing, record = self._connection.outgoing, self.record
        kept = False
        if record is not None:
            kept = isinstance(outcome, bytes) and record.keep(outcome)
            if finished:
                record.finish(finished)
        self._ended = ended
        if outgoing.covered >= self._answered:
            self._oldest, self._unsent = ended, 0
        self._answered = outgoing.put(outcome, outcome=True)
        self._unsent += _message.size_of(outcome)
        if not kept:
            self._owed = True
            outgoing.push()
