"""Calls of actors that are given up, and how actors end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2
import pytest
from counting import ADD, CLOSE, EXIT, HOLD, HOLD_ASYNC, WORKER, call, lines, opened, total
from host import StartFailure, wait_for
from relay import Relay

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start


@pytest.mark.parametrize(("method", "more"), [(HOLD, 100), (HOLD_ASYNC, 1000)])
def test_a_method_that_is_cancelled_leaves_the_actor(
    start: Start, tmp_path: Path, method: int, more: int
) -> None:
    worker = start(WORKER)
    mark = tmp_path / "mark"
    opened(worker, start=7)
    seq = worker.start("counter", cbor2.dumps(str(mark)), actor=1, method=method)
    waits = worker.start("counter", cbor2.dumps(1), actor=1, method=ADD)
    wait_for(lambda: lines(mark) == ["started"], "the start")
    worker.cancel(waits)
    worker.cancel(seq)
    failure = worker.outcome(seq).failure
    assert failure.type.endswith("Cancelled")
    assert failure.task.startswith("counter.hold")
    assert worker.outcome(waits).HasField("declined")
    assert total(worker) == 7 + more


def test_an_opening_that_is_cancelled_makes_no_actor(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    mark = tmp_path / "mark"
    seq = worker.start("counter", cbor2.dumps({"mark": str(mark), "hold": True}), actor=1)
    wait_for(lambda: lines(mark) == ["opened"], "the start")
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")
    assert call(worker, ADD, 1).failure.kind == pb.FAILURE_KIND_UNKNOWN_TASK
    opened(worker, start=2)
    assert total(worker) == 2


def test_calls_of_an_actor_that_were_taken_back(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    mark = tmp_path / "mark"
    opened(worker)
    held = worker.start("counter", cbor2.dumps(str(mark)), actor=1, method=HOLD)
    adds = [worker.start("counter", b"\x01", actor=1, method=ADD) for _ in range(3)]
    close = worker.start("counter", actor=1, method=CLOSE)
    wait_for(lambda: lines(mark) == ["started"], "the start")
    assert worker.fence(adds[0]) == adds[0]
    worker.cancel(held)
    assert cbor2.loads(worker.outcome(adds[0]).inline) == 101
    for seq in (*adds[1:], close):
        assert worker.outcome(seq).HasField("declined")
    assert page.read("started") == page.read("finished") == adds[0]
    page.set_fence(2**64 - 1)
    assert total(worker) == 101  # so it was not closed


@pytest.mark.parametrize("recorder", [True, False])
def test_what_had_finished_survives_the_death_of_an_actor(start: Start, recorder: bool) -> None:
    worker = start(WORKER, hello=False, recorder=recorder)
    relay = Relay(worker)
    worker.hello()
    opened(worker)
    if not recorder:  # then it gets one call at a time
        call(worker, ADD, 1)
        worker.start("counter", cbor2.dumps(3), actor=1, method=EXIT)
        assert worker.wait_death() == 3
        return
    steps = [*((ADD, n) for n in range(20)), (EXIT, 3)]
    tasks = [
        worker.task("counter", cbor2.dumps(argument), actor=1, method=method)
        for method, argument in steps
    ]
    worker.send(pb.WorkRequest(tasks=tasks))
    page = worker.page
    assert page
    came = {*relay.outcomes(), *(o.seq for o in page.journal())}
    assert came >= {task.seq for task in tasks[:-1]}
    assert worker.wait_death() == 3
    assert page.read("started") == tasks[-1].seq
    assert page.read("finished") == tasks[-2].seq


def test_a_worker_that_leaves_closes_no_actor(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    mark = tmp_path / "mark"
    opened(worker, mark=str(mark))
    assert worker.leave() == 0
    assert lines(mark) == ["opened"]


def test_async_methods_and_close_have_one_event_loop(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    mark = tmp_path / "mark"
    assert worker.call("Later", cbor2.dumps(str(mark)), actor=1).inline == b""
    loops = {cbor2.loads(worker.call("Later", actor=1, method=1).inline) for _ in range(3)}
    assert worker.call("Later", actor=1, method=CLOSE).WhichOneof("result") == "inline"
    assert lines(mark) == [f"closed in {loops.pop()}"]
    assert not loops


def test_a_method_of_no_actor_is_told(start: Start) -> None:
    worker = start(
        """
        import procpool

        class Counter:
            @procpool.method()
            def add(self, n: int) -> int:
                return n

        procpool.serve()
        """
    )
    assert worker.leave() == 0
    assert b"the method Counter.add in " in worker.stderr
    assert b"line 5, is served by nobody: its class is no actor" in worker.stderr


def test_the_classes_that_are_given_are_served(start: Start) -> None:
    source = """
        import procpool

        @procpool.actor()
        class Counter:
            def __init__(self, start: KIND) -> None:
                self.total = start

            @procpool.method()
            def add(self, n: int) -> int:
                return self.total + n

        @procpool.task()
        def square(n: int) -> int:
            return n * n

        procpool.serve(tasks=[Counter])
    """
    worker = start(source.replace("KIND", "int"))
    assert [task.name for task in worker.response.tasks] == ["Counter"]
    worker.call("Counter", b"\x05", actor=1)
    assert worker.call("Counter", b"\x05", actor=1, method=1).inline == b"\x0a"
    with pytest.raises(StartFailure, match=r"the actor Counter.__init__: no value that comes from"):
        start(source.replace("KIND", "type"))


def test_a_closed_actor_is_forgotten(start: Start) -> None:
    worker = start(
        """
        import gc, time, weakref
        import procpool

        alive = weakref.WeakSet()

        @procpool.actor()
        class Big:
            def __init__(self) -> None:
                alive.add(self)

            @procpool.method()
            def work(self) -> None:
                pass

            @procpool.method()
            def hold(self) -> None:
                with procpool._runtime.current_call.get().waiting():
                    time.sleep(3600)

        @procpool.task()
        def count() -> int:
            return len(alive)

        gc.disable()
        procpool.serve()
        """
    )
    assert worker.page
    page = worker.page
    for number in range(1, 4):
        assert worker.call("Big", actor=number).inline == b""
        assert worker.call("Big", actor=number, method=1).inline == cbor2.dumps(None)
    seq = worker.start("Big", actor=1, method=2)
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    worker.cancel(seq)
    worker.outcome(seq)
    assert cbor2.loads(worker.call("count").inline) == 3
    for number in range(1, 4):
        worker.call("Big", actor=number, method=CLOSE)
    # A timer may still mean to interrupt the call that was cancelled.
    wait_for(lambda: cbor2.loads(worker.call("count").inline) == 0, "the end of all three")
