"""Actors that tasks make and call, and the references to them."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import threading
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from host import wait_for
from running import Call

import procpool
from procpool import _actor, _codec, _task
from procpool._gen import worker_pb2 as pb
from procpool._runtime import HostAnswer
from procpool._shape import Shape


@pytest.fixture
def call() -> Iterator[Call]:
    with Call().running() as made:
        yield made


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_task, "_tasks", {})
    monkeypatch.setattr(_actor, "_loose", [])

    @procpool.actor("counter", codecs=("json", "cbor"))
    class Counter:
        def __init__(self, start: int) -> None: ...

        @procpool.method()
        def add(self, n: int) -> int:
            return n

        @procpool.method("value")
        async def get(self) -> float:
            return 1.5

    return Counter


class Answers:
    """Answers the requests of a call, in their order, from another thread."""

    def __init__(self, call: Call, *answers: HostAnswer) -> None:
        self._call, self._answers = call, answers
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        for number, answer in enumerate(self._answers):
            wait_for(lambda number=number: len(self._call.answers) > number, "a request")  # type: ignore[misc]
            self._call.answers[number](answer)


def failure(**fields: Any) -> HostAnswer:
    return HostAnswer(failure=pb.Failure(**fields))


def test_its_text() -> None:
    ref = procpool.Ref("counter#1f")
    assert (str(ref), repr(ref), ref.actor) == (
        "counter#1f",
        "procpool.Ref('counter#1f')",
        "counter",
    )
    assert str(procpool.Ref("a#b#8000000639")) == "a#b#8000000639"
    assert ref == procpool.Ref("counter#001F")
    assert ref != procpool.Ref("counter#1e")
    assert ref != "counter#1f"
    assert len({ref, procpool.Ref("counter#1f"), procpool.Ref("other#1f")}) == 2
    assert copy.deepcopy(ref) == ref
    assert str(procpool.Ref("a#1fffffffffffff")) == "a#1fffffffffffff"
    with pytest.raises(AttributeError, match=r"called by ref.call\('add', ...\)"):
        ref.add(5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text", ["", "#1", "a", "a#", "a#0", "a#x", "a#-1", "a#+1", "a#1_0", "a# 1", "a#20000000000000"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name and number of an actor"):
        procpool.Ref(text)
    with pytest.raises(procpool._failure.CodecFailure, match="expected Ref, got "):
        _codec.decode("cbor", cbor2.dumps(text), Shape(procpool.Ref), "decode the argument")


def test_a_class_is_no_reference(counter: Any) -> None:
    with pytest.raises(TypeError, match=r"a Ref is made of its text, .* use procpool.context\(\)"):
        procpool.Ref(counter)


@pytest.mark.parametrize("codec", ["cbor", "json"])
def test_it_crosses_the_boundary(codec: str) -> None:
    refs = [procpool.Ref("counter#1f"), procpool.Ref("a#b#2")]
    for hint in (list[procpool.Ref], Any):
        encoded = b"".join(_pieces(_codec.encode(codec, refs, Shape(hint), "encode the result")))
        assert _codec.decode(codec, encoded, Shape(Any), "") == ["counter#1f", "a#b#2"]
        assert _codec.decode(codec, encoded, Shape(list[procpool.Ref]), "") == refs
    keyed = {refs[0]: 1}
    shape = Shape(dict[procpool.Ref, int])
    encoded = b"".join(_pieces(_codec.encode(codec, keyed, shape, "encode the result")))
    assert _codec.decode(codec, encoded, shape, "") == keyed
    assert Shape(procpool.Ref | None).text == "Ref | None"
    assert _codec.decode("cbor", b"\xf6", Shape(procpool.Ref | None), "") is None


def _pieces(payload: Any) -> tuple[bytes, ...]:
    return payload if isinstance(payload, tuple) else (payload,)


def test_spawn_by_class(call: Call, counter: Any) -> None:
    with Answers(call, HostAnswer(actor=31)):
        ref = procpool.context().spawn(counter, 7, restarts=3, timeout=1.5, metadata={"a": "b"})
    assert str(ref) == "counter#1f"
    request = call.requests[0]
    assert (request.name, request.kind, request.codec, request.argument) == (
        *("counter", "actor", "json"),
        b"7",
    )
    assert (request.actor, request.method, request.shared, request.restarts) == (0, "", False, 3)
    assert (request.run_limit, request.metadata) == (1.5, {"a": "b"})
    assert call.waited == 1


def test_spawn_by_name(call: Call) -> None:
    with Answers(call, HostAnswer(actor=2**53 - 1)):
        ref = procpool.context().spawn("other", [1], shared=True)
    assert str(ref) == "other#1fffffffffffff"
    request = call.requests[0]
    assert (request.name, request.codec, request.argument) == ("other", "cbor", b"\x81\x01")
    assert (request.shared, request.restarts) == (True, 0)


def test_spawn_that_fails(call: Call, counter: Any) -> None:
    with (
        Answers(call, failure(kind=pb.FAILURE_KIND_TASK, type="Odd", message="no")),
        pytest.raises(procpool.TaskError, match="task 'counter' failed: Odd: no"),
    ):
        procpool.context().spawn(counter, 7)
    with pytest.raises(procpool.CodecError, match="encode the argument of task 'counter'"):
        procpool.context().spawn(counter, print)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"restarts": -1}, ValueError, "restarts=-1: it is between 0 and 1000"),
        ({"restarts": 1001}, ValueError, "restarts=1001: it is between 0 and 1000"),
        ({"restarts": 1, "shared": True}, ValueError, "don't go together"),
        ({"timeout": 0}, ValueError, "a call needs time to run"),
        ({"priority": 101}, ValueError, "it is between -100 and 100"),
        ({"key": "k"}, TypeError, "key"),
    ],
)
def test_spawn_is_refused(
    call: Call, counter: Any, options: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        procpool.context().spawn(counter, 7, **options)
    assert not call.requests


def test_what_is_no_actor(call: Call, counter: Any) -> None:
    @procpool.task()
    def square(n: int) -> int:
        return n * n

    context = procpool.context()
    with pytest.raises(TypeError, match="'square' is a function, and no actor"):
        context.spawn(square, 7)
    with pytest.raises(
        TypeError, match=r"as in spawn\(.*Counter, 7\), and this is a .*Counter that"
    ):
        context.spawn(counter(7))
    with pytest.raises(TypeError, match=r"no task: decorate it with @procpool\.actor"):
        context.spawn(str, 7)
    with pytest.raises(TypeError, match="'counter' is an actor: use spawn, and the call of what"):
        context.submit(counter, 7)
    with pytest.raises(TypeError, match="'counter' is an actor: use spawn"):
        context.stream(counter, 7)
    assert not call.requests


def test_a_method_by_function(call: Call, counter: Any) -> None:
    ref = procpool.Ref("counter#1f")
    with Answers(call, HostAnswer(b"12"), HostAnswer(b"2")):
        assert ref.call(counter.add, 5, timeout=2, priority=7, metadata={"a": "b"}) == 12
        value = ref.call(counter.get)
    assert (value, type(value)) == (2.0, float)
    add, get = call.requests
    assert (add.name, add.kind, add.codec, add.argument) == ("counter", "actor", "json", b"5")
    assert (add.actor, add.method, add.run_limit, add.priority) == (31, "add", 2, 7)
    assert (get.actor, get.method, get.called) == (31, "value", "counter.value")
    future = ref.submit(counter.add, 1, codec="cbor")
    assert repr(future) == "<procpool future of 'counter.add', not done>"
    with pytest.raises(TimeoutError, match=r"'counter.add' is not done yet"):
        future.result(timeout=0)
    call.answers[2](HostAnswer(cbor2.dumps("x")))
    with pytest.raises(
        procpool.CodecError, match=r"result of task 'counter.add' with codec 'cbor'"
    ):
        future.result()


def test_a_method_by_name(call: Call) -> None:
    ref = procpool.Ref("other#2")
    with Answers(call, HostAnswer(b"\x0c"), HostAnswer(b"\x0c")):
        assert ref.call("add", 5) == 12
        value = ref.call("add", [5], returns=float)
    assert (value, type(value)) == (12.0, float)
    assert [r.method for r in call.requests] == ["add", "add"]
    assert [r.argument for r in call.requests] == [b"\x05", b"\x81\x05"]


def test_a_method_of_another_actor(call: Call, counter: Any) -> None:
    with pytest.raises(TypeError, match="'add' is a method of the actor 'counter', and was called"):
        procpool.Ref("other#1").call(counter.add, 1)
    with pytest.raises(TypeError, match="is no method of an actor: decorate it with"):
        procpool.Ref("counter#1").call(lambda _, text: text, "x")
    assert not call.requests


def test_it_is_cancelled(call: Call) -> None:
    future = procpool.Ref("counter#1").submit("add", 1)
    assert future.cancel()
    assert call.given_up == [0]
    with pytest.raises(procpool.CancelledError, match=r"the call of task 'counter.add' was given"):
        future.result()


def test_close(call: Call) -> None:
    ref = procpool.Ref("counter#1f")
    bad_end = failure(kind=pb.FAILURE_KIND_TASK, type="Odd", message="no end", task="counter")
    with Answers(call, HostAnswer(), bad_end):
        ref.close()
        with pytest.raises(procpool.TaskError, match="no end"):
            ref.close()
    request = call.requests[0]
    assert (request.name, request.kind, request.actor, request.method, request.argument) == (
        *("counter", "actor", 31, ""),
        b"",
    )


def test_in_an_event_loop(call: Call, counter: Any) -> None:
    async def work() -> list[Any]:
        ref = await procpool.context().spawn_async(counter, 7)
        futures = [ref.submit(counter.add, n) for n in (1, 2)]
        values = [await future for future in futures]
        await ref.close_async()
        return [str(ref), *values]

    results = (HostAnswer(actor=31), HostAnswer(b"8"), HostAnswer(b"10"), HostAnswer())
    with Answers(call, *results):
        assert asyncio.run(work()) == ["counter#1f", 8, 10]


def test_an_actor_that_has_ended(call: Call) -> None:
    ref = procpool.Ref("counter#1f")
    crash = pb.Crash(pid=4712, worker=3, exit_code=9, reason="it exited with status 9")
    ended = {"kind": pb.FAILURE_KIND_ACTOR_ENDED, "message": "the actor has ended: it was"}
    with Answers(
        call,
        failure(**ended, crash=crash, task="counter.exit"),
        failure(**ended, cause=pb.Failure(kind=pb.FAILURE_KIND_CLOSED, message="closed")),
        failure(**ended),
        failure(kind=pb.FAILURE_KIND_ACTOR_ENDED),
    ):
        errors = []
        for _ in range(4):
            with pytest.raises(procpool.ActorEndedError) as caught:
                ref.call("add", 1)
            errors.append(caught.value)
    crashed, closed, plain, bare = errors
    assert crashed.crash is not None
    assert (crashed.crash.pid, crashed.crash.exit_code) == (4712, 9)
    assert crashed.__cause__ is crashed.crash
    assert "died running 'counter.exit'" in str(crashed.crash)
    assert isinstance(closed.__cause__, procpool.ClosedError)
    assert closed.crash is plain.crash is plain.__cause__ is None
    assert (str(plain), plain.task) == ("the actor has ended: it was", "counter.add")
    assert str(bare) == "the actor of 'counter.add' has ended"


def test_a_call_that_would_wait_for_itself(call: Call) -> None:
    text = "an actor can't wait for itself"
    with (
        Answers(call, failure(kind=pb.FAILURE_KIND_REENTRANT, message=text)),
        pytest.raises(procpool.ReentrantError, match=text),
    ):
        procpool.Ref("counter#1f").call("add", 1)


def test_outside_of_a_call(counter: Any) -> None:
    ref = procpool.Ref("counter#1f")
    for use in (
        lambda: procpool.context().spawn(counter, 7),
        lambda: ref.call(counter.add, 7),
        lambda: ref.submit("add"),
        ref.close,
    ):
        with pytest.raises(RuntimeError, match="only a running task can make calls of its pool"):
            use()


def test_a_thread_of_a_task(call: Call) -> None:
    ref = procpool.Ref("counter#1f")
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(ref.call("add", 1))
        except RuntimeError as error:
            results.append(str(error))

    bare = threading.Thread(target=work)
    bare.start()
    bare.join()
    with Answers(call, HostAnswer(b"\x05")):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
    assert "contextvars.copy_context()" in results[0]
    assert results[1] == 5
