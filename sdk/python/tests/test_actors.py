"""Actors that live in a worker, as a host works with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from host import StartFailure, wait_for
from relay import Relay

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start
    from host import Worker

OPEN, CLOSE = 0, 4294967295
ADD, ADD_LATER, FAIL, HOLD, HOLD_ASYNC, EXIT, NAME, BYTES, DEEP, UNFIT, REFUSE = range(1, 12)
WORKER = """
    import asyncio, os, time
    from pathlib import Path
    import procpool

    class Odd(Exception):
        pass

    class Never(Exception):
        pass

    def note(path, line):
        with open(path, "a") as file:
            file.write(line + "\\n")

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.actor("counter", errors={"odd": Odd, "error": Exception})
    class Counter:
        '''Counts.'''

        def __init__(self, how: dict) -> None:
            self.total = how.get("start", 0)
            self.mark = how.get("mark")
            self.bad_end = how.get("bad_end", False)
            if self.mark:
                note(self.mark, "opened")
            if how.get("hold"):
                time.sleep(3600)
            if "exit" in how:
                os._exit(how["exit"])
            if "fail" in how:
                raise Odd(how["fail"])

        @procpool.method()
        def add(self, n: int) -> int:
            '''Add a number.

            To the total.
            '''
            self.total += n
            return self.total

        @procpool.method()
        async def add_later(self, n: int) -> int:
            await asyncio.sleep(0)
            self.total += n
            return self.total

        @procpool.method(errors={"never": Never})
        def fail(self, text: str) -> None:
            self.total += 1
            raise Odd(text)

        @procpool.method()
        def hold(self, mark: str) -> str:
            try:
                note(mark, "started")
                time.sleep(3600)
            finally:
                self.total += 100

        @procpool.method("hold_async")
        async def hold_in_loop(self, mark: str) -> str:
            try:
                note(mark, "started")
                await asyncio.sleep(3600)
            finally:
                self.total += 1000

        @procpool.method()
        def exit(self, status: int) -> None:
            os._exit(status)

        @procpool.method()
        def name(self) -> str:
            return procpool.context().name

        @procpool.method(codecs=("raw", "cbor"))
        def as_bytes(self, size: bytes) -> bytes:
            return size * 2

        @procpool.method()
        def deep(self, n: int) -> int:
            return self.deep(n + 1)

        @procpool.method()
        def unfit(self) -> object:
            return self

        @procpool.method(errors={"refused": Odd})
        def refuse(self, text: str) -> None:
            raise Odd(text)

        def close(self) -> None:
            if self.mark:
                note(self.mark, f"closed at {self.total}")
            if self.bad_end:
                raise Odd("no end")

    @procpool.actor()
    class Plain:
        @procpool.method()
        def seven(self) -> int:
            return 7

    @procpool.actor()
    class Later:
        def __init__(self, mark: str) -> None:
            self.mark = mark

        @procpool.method()
        async def loop(self) -> int:
            return id(asyncio.get_running_loop())

        async def close(self) -> None:
            await asyncio.sleep(0)
            note(self.mark, f"closed in {id(asyncio.get_running_loop())}")

    procpool.serve()
"""


def opened(worker: Worker, number: int = 1, **how: Any) -> None:
    outcome = worker.call("counter", cbor2.dumps(how), actor=number)
    assert outcome.WhichOneof("result") == "inline", outcome
    assert outcome.inline == b""


def call(worker: Worker, method: int, argument: Any = None, number: int = 1) -> pb.Outcome:
    return worker.call("counter", cbor2.dumps(argument), actor=number, method=method)


def total(worker: Worker, number: int = 1) -> int:
    value = cbor2.loads(call(worker, ADD, 0, number).inline)
    assert isinstance(value, int)
    return value


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_what_the_host_hears_of_actors(start: Start) -> None:
    worker = start(WORKER)
    assert "actor" in worker.response.capabilities
    assert [task.name for task in worker.response.tasks] == ["square", "counter", "Plain", "Later"]
    counter, plain = worker.response.tasks[1:3]
    assert counter.kind == pb.TASK_KIND_ACTOR
    assert (counter.input, counter.output, counter.doc) == ("dict", "", "Counts.")
    assert list(counter.codecs) == ["cbor", "json"]
    assert list(counter.methods)[:5] == ["add", "add_later", "fail", "hold", "hold_async"]
    add, _, fail = counter.method_types[:3]
    assert (add.input, add.output, add.doc) == ("int", "int", "Add a number.\n\nTo the total.")
    assert list(add.codecs) == ["cbor", "json"]
    assert (fail.input, fail.output) == ("str", "None")
    assert list(counter.method_types[BYTES - 1].codecs) == ["raw", "cbor"]
    assert len(counter.method_types) == len(counter.methods) == REFUSE
    assert (plain.input, list(plain.methods)) == ("Any", ["seven"])


def test_an_actor_keeps_its_state(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    mark = tmp_path / "mark"
    opened(worker, start=7, mark=str(mark))
    assert lines(mark) == ["opened"]
    assert cbor2.loads(call(worker, ADD, 5).inline) == 12
    assert cbor2.loads(worker.call("square", b"\x07").inline) == 49
    outcome = call(worker, ADD_LATER, 3)
    assert (cbor2.loads(outcome.inline), outcome.run_nanos > 0) == (15, True)
    assert cbor2.loads(call(worker, NAME).inline) == "counter.name"
    outcome = call(worker, CLOSE)
    assert outcome.WhichOneof("result") == "inline"
    assert outcome.inline == b""
    assert lines(mark) == ["opened", "closed at 15"]


def test_calls_of_an_actor_in_one_message(start: Start) -> None:
    worker = start(WORKER)
    steps = [(OPEN, {"start": 1}), *((ADD, n) for n in range(1000)), (CLOSE, None)]
    tasks = [
        worker.task("counter", cbor2.dumps(argument), actor=5, method=method)
        for method, argument in steps
    ]
    worker.send(pb.WorkRequest(tasks=tasks))
    outcomes = [worker.outcome(task.seq) for task in tasks]
    sums = [1]
    for n in range(1000):
        sums.append(sums[-1] + n)
    assert [cbor2.loads(o.inline) for o in outcomes[1:-1]] == sums[1:]
    assert worker.page
    assert worker.page.read("finished") == tasks[-1].seq


def test_actors_in_one_process_do_not_meet(start: Start) -> None:
    worker = start(WORKER)
    for number in (1, 2**53 - 1, 300):
        opened(worker, number, start=number)
    assert worker.call("Plain", actor=4).inline == b""
    call(worker, ADD, 1, 300)
    assert total(worker, 300) == 301
    assert total(worker, 1) == 1
    assert total(worker, 2**53 - 1) == 2**53 - 1
    assert cbor2.loads(worker.call("Plain", actor=4, method=1).inline) == 7
    call(worker, CLOSE, number=1)
    assert call(worker, ADD, 1, 1).failure.kind == pb.FAILURE_KIND_UNKNOWN_TASK
    assert total(worker, 300) == 301
    opened(worker, 1, start=3)
    assert total(worker, 1) == 3


@pytest.mark.parametrize(
    ("method", "argument", "kind", "task", "code", "text"),
    [
        (FAIL, "no", pb.FAILURE_KIND_TASK, "counter.fail", "odd", "no"),
        (REFUSE, "no", pb.FAILURE_KIND_TASK, "counter.refuse", "refused", "no"),
        (DEEP, 0, pb.FAILURE_KIND_TASK, "counter.deep", "error", "recursion"),
        (ADD, "x", pb.FAILURE_KIND_CODEC, "counter.add", "", "expected int, got str"),
        (UNFIT, None, pb.FAILURE_KIND_CODEC, "counter.unfit", "", "Counter"),
        (REFUSE + 1, None, pb.FAILURE_KIND_UNKNOWN_TASK, "counter", "", "no method of the number"),
        (CLOSE - 1, None, pb.FAILURE_KIND_UNKNOWN_TASK, "counter", "", "no method of the number"),
    ],
)
def test_failures_that_an_actor_survives(
    start: Start, method: int, argument: Any, kind: int, task: str, code: str, text: str
) -> None:
    worker = start(WORKER)
    opened(worker, start=7)
    failure = call(worker, method, argument).failure
    assert (failure.kind, failure.task, failure.code) == (kind, task, code)
    assert text in failure.message
    assert failure.language == "python"
    assert total(worker) == (8 if method == FAIL else 7)


def test_a_result_of_a_method_that_is_too_large(start: Start) -> None:
    worker = start(WORKER, max_payload=1000)
    opened(worker)
    outcome = worker.call("counter", b"x" * 600, actor=1, method=BYTES, codec="raw")
    assert outcome.failure.kind == pb.FAILURE_KIND_TOO_LARGE
    assert outcome.failure.task == "counter.as_bytes"
    assert "1200 bytes" in outcome.failure.message


def test_a_call_without_a_codec_has_the_actors(start: Start) -> None:
    worker = start(WORKER)
    opened(worker)
    # Not the first of the method's own.
    assert cbor2.loads(call(worker, BYTES, b"ab").inline) == b"abab"
    raw = worker.call("counter", b"ab", actor=1, method=BYTES, codec="raw")
    assert raw.inline == b"abab"
    json = worker.call("counter", b"5", actor=1, method=ADD, codec="json")
    assert json.inline == b"5"
    failure = worker.call("counter", b"{}", actor=2, codec="raw").failure
    assert (failure.kind, failure.task) == (pb.FAILURE_KIND_CODEC, "counter")
    assert worker.call("counter", b"{}", actor=2, codec="json").inline == b""


def test_an_opening_that_fails_makes_no_actor(start: Start) -> None:
    worker = start(WORKER)
    failure = worker.call("counter", cbor2.dumps({"fail": "not today"}), actor=1).failure
    assert (failure.kind, failure.task) == (pb.FAILURE_KIND_TASK, "counter")
    assert (failure.type, failure.code, failure.message) == ("Odd", "odd", "not today")
    assert "raise Odd(how" in failure.stack
    assert "procpool/_" not in failure.stack
    failure = worker.call("counter", cbor2.dumps([]), actor=1).failure
    assert failure.kind == pb.FAILURE_KIND_CODEC
    failure = call(worker, ADD, 1).failure
    assert (failure.kind, failure.task) == (pb.FAILURE_KIND_UNKNOWN_TASK, "counter.add")
    assert "no actor 'counter' of the number 1 lives" in failure.message
    assert call(worker, CLOSE).WhichOneof("result") == "inline"
    opened(worker)


def test_a_close_that_fails_ends_the_actor(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    mark = tmp_path / "mark"
    opened(worker, mark=str(mark), bad_end=True)
    failure = call(worker, CLOSE).failure
    assert (failure.kind, failure.task) == (pb.FAILURE_KIND_TASK, "counter")
    assert (failure.message, failure.code) == ("no end", "odd")
    assert call(worker, CLOSE).WhichOneof("result") == "inline"
    assert lines(mark) == ["opened", "closed at 0"]
    assert call(worker, ADD, 1).failure.kind == pb.FAILURE_KIND_UNKNOWN_TASK


def test_what_is_no_call_of_an_actor(start: Start) -> None:
    worker = start(WORKER)
    opened(worker)
    tasks = [
        worker.task("square", b"\x07", actor=1),
        worker.task("counter", b"\xa0"),
        worker.task("counter", b"\xa0", actor=1),
        worker.task("counter", b"\x01", actor=2, method=ADD),
        worker.task("Plain", actor=1, method=1),
        worker.task("Plain", actor=1, method=CLOSE),
        worker.task("Plain", actor=9, method=7),
        worker.task(
            "counter", b"\x01", actor=1, method=ADD, result_credit=1, result_credit_bytes=1
        ),
        worker.task("counter", b"\x01", actor=1, method=ADD, item_sizes=[1]),
        worker.task(99, b"\x01", actor=1, method=ADD),
    ]
    worker.send(pb.WorkRequest(tasks=tasks))
    failures = [worker.outcome(task.seq).failure for task in tasks]
    assert {failure.kind for failure in failures} == {pb.FAILURE_KIND_UNKNOWN_TASK}
    assert [failure.task for failure in failures] == [
        *("square", "counter", "counter", "counter.add", "Plain.seven", "Plain", "Plain"),
        *("counter", "counter", ""),
    ]
    for failure, text in zip(
        failures,
        (
            "was called as an actor and is a function",
            "was called as a function and is an actor",
            "an actor of the number 1 lives here already",
            "no actor 'counter' of the number 2",
            "no actor 'Plain' of the number 1",
            "no actor 'Plain' of the number 1",
            "no actor 'Plain' of the number 9",
        ),
        strict=False,
    ):
        assert text in failure.message
    assert total(worker) == 0


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
