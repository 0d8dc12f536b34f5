"""Actors that live in a worker, as a host works with them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from counting import (
    ADD,
    ADD_LATER,
    BYTES,
    CLOSE,
    DEEP,
    FAIL,
    NAME,
    OPEN,
    REFUSE,
    UNFIT,
    WORKER,
    call,
    lines,
    opened,
    total,
)

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start


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
            "was called as an actor and is a function in this worker: call it by a handle of",
            "procpool.RemoteActor in Go",
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


def test_calls_in_any_order_do_what_a_model_does(start: Start) -> None:
    """Opens, calls and closes of a few actors, at random, side by side in messages."""
    worker = start(WORKER)
    chance = random.Random(6)
    totals: dict[int, int] = {}
    unknown = pb.FAILURE_KIND_UNKNOWN_TASK
    wanted: dict[int, tuple[int, Any]] = {}  # by call: the kind of failure, 0 for none; the result
    for _ in range(150):
        tasks = []
        for _ in range(chance.randrange(1, 10)):
            number, n = chance.randrange(1, 6), chance.randrange(100)
            method = chance.choice([OPEN, ADD, ADD, ADD_LATER, FAIL, NAME, REFUSE + 1, CLOSE])
            argument: Any = n
            lives = number in totals
            result: tuple[int, Any] = (unknown, None)
            if method == OPEN:
                argument = {"start": n} if chance.random() < 0.8 else {"fail": "no"}
                if not lives:
                    result = (pb.FAILURE_KIND_TASK, None) if "fail" in argument else (0, b"")
                    if "start" in argument:
                        totals[number] = n
            elif method == CLOSE:
                totals.pop(number, None)
                result = 0, b""
            elif method in (ADD, ADD_LATER) and lives:
                totals[number] += n
                result = 0, cbor2.dumps(totals[number])
            elif method == FAIL and lives:
                totals[number] += 1
                argument, result = "no", (pb.FAILURE_KIND_TASK, None)
            elif method == NAME and lives:
                result = 0, cbor2.dumps("counter.name")
            tasks.append(worker.task("counter", cbor2.dumps(argument), actor=number, method=method))
            wanted[tasks[-1].seq] = result
        worker.send(pb.WorkRequest(tasks=tasks))
    worker.outcome(max(wanted))
    came = {
        outcome.seq: (outcome.failure.kind, None if outcome.failure.kind else outcome.inline)
        for outcome in worker.taken(pb.Outcome)
    }
    del wanted[max(wanted)]
    assert came == wanted
    assert {kind for kind, _ in came.values()} == {0, pb.FAILURE_KIND_TASK, unknown}
