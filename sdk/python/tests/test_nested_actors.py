"""Actors that tasks in a worker make and call, as the host sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cbor2
import pytest

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from conftest import Start
    from host import Worker

WORKER = """
    import threading
    import procpool

    @procpool.actor("counter")
    class Counter:
        def __init__(self, start: int) -> None:
            self.total = start

        @procpool.method()
        def add(self, n: int) -> int:
            self.total += n
            return self.total

    @procpool.actor("team")
    class Team:
        def __init__(self, size: int) -> None:
            self.members = [procpool.context().spawn(Counter, n) for n in range(size)]

        @procpool.method()
        def add(self, n: int) -> list[int]:
            return [member.call(Counter.add, n) for member in self.members]

        @procpool.method()
        def refs(self) -> list[procpool.Ref]:
            return self.members

        def close(self) -> None:
            for member in self.members:
                member.close()

    @procpool.task()
    def use(what: dict) -> list:
        ref = procpool.context().spawn(Counter, 7, **what)
        sums = [ref.submit(Counter.add, n) for n in (1, 2)]
        found = [future.result() for future in sums]
        ref.close()
        return [str(ref), *found]

    @procpool.task()
    async def use_async(_: None) -> list:
        ref = await procpool.context().spawn_async("counter", 7)
        found = [await ref.submit("add", n, returns=int) for n in (1, 2)]
        await ref.close_async()
        return [str(ref), *found]

    @procpool.task()
    def pass_on(ref: procpool.Ref) -> procpool.Ref:
        ref.call(Counter.add, 1)
        return ref

    @procpool.task()
    def try_it(_: None) -> list:
        told = []
        for use in (
            lambda: procpool.context().spawn("counter", 7),
            lambda: procpool.Ref("counter#1").call("add", 7),
            lambda: procpool.Ref("counter#1").close(),
        ):
            try:
                use()
            except procpool.Error as error:
                told.append(f"{type(error).__name__}: {error}")
        return told

    procpool.serve()
"""


def reply(worker: Worker, call: pb.HostCall, **result: Any) -> None:
    worker.send(pb.WorkRequest(host_replies=[pb.HostReply(id=call.id, **result)]))


def spawned(worker: Worker, number: int, argument: Any = 7) -> pb.HostCall:
    """Take the request of a new counter, and make it."""
    call = worker.wait(pb.HostCall)
    assert (call.name, call.kind, call.actor, call.method) == (
        *("counter", pb.TASK_KIND_ACTOR, 0),
        "",
    )
    assert cbor2.loads(call.inline) == argument
    reply(worker, call, actor=number)
    return call


def added(worker: Worker, number: int, n: int, total: int) -> None:
    """Take a call of it, and answer."""
    call = worker.wait(pb.HostCall)
    assert (call.name, call.kind, call.actor, call.method) == (
        *("counter", pb.TASK_KIND_ACTOR, number),
        "add",
    )
    assert cbor2.loads(call.inline) == n
    reply(worker, call, inline=cbor2.dumps(total))


def closed(worker: Worker, number: int) -> None:
    call = worker.wait(pb.HostCall)
    assert (call.name, call.kind, call.actor, call.method, call.inline) == (
        *("counter", pb.TASK_KIND_ACTOR, number, ""),
        b"",
    )
    reply(worker, call)


def test_a_task_uses_an_actor(start: Start) -> None:
    worker = start(WORKER)
    what = {"restarts": 2, "timeout": 1.5, "metadata": {"k": "v"}}
    seq = worker.start("use", cbor2.dumps(what), timeout_nanos=10**12)
    call = spawned(worker, 549755815481)
    assert (call.parent_seq, call.codec, call.shared, call.restarts) == (seq, "cbor", False, 2)
    assert (call.run_limit_nanos, dict(call.metadata)) == (1_500_000_000, {"k": "v"})
    assert 0 < call.timeout_nanos <= 10**12
    added(worker, 549755815481, 1, 8)
    added(worker, 549755815481, 2, 10)
    closed(worker, 549755815481)
    assert cbor2.loads(worker.outcome(seq).inline) == ["counter#8000000639", 8, 10]


def test_an_async_task_uses_an_actor(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("use_async", b"\xf6")
    spawned(worker, 31)
    added(worker, 31, 1, 8)
    added(worker, 31, 2, 10)
    closed(worker, 31)
    assert cbor2.loads(worker.outcome(seq).inline) == ["counter#1f", 8, 10]


def test_an_actor_that_shares_its_process(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("use", cbor2.dumps({"shared": True}))
    assert spawned(worker, 1).shared
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")


def test_an_actor_has_actors(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("team", b"\x02", actor=9)
    assert spawned(worker, 31, 0).parent_seq == seq
    spawned(worker, 32, 1)
    assert worker.outcome(seq).WhichOneof("result") == "inline"
    seq = worker.start("team", b"\x05", actor=9, method=1)
    added(worker, 31, 5, 5)
    added(worker, 32, 5, 6)
    assert cbor2.loads(worker.outcome(seq).inline) == [5, 6]
    refs = worker.call("team", actor=9, method=2).inline
    assert cbor2.loads(refs) == ["counter#1f", "counter#20"]
    seq = worker.start("team", actor=9, method=4294967295)
    closed(worker, 31)
    closed(worker, 32)
    assert worker.outcome(seq).WhichOneof("result") == "inline"


def test_a_reference_is_passed_on(start: Start) -> None:
    worker = start(WORKER)
    assert worker.response.tasks[worker.function("pass_on")].input == "Ref"
    seq = worker.start("pass_on", cbor2.dumps("counter#1f"))
    added(worker, 31, 1, 8)
    assert cbor2.loads(worker.outcome(seq).inline) == "counter#1f"
    failure = worker.call("pass_on", cbor2.dumps("counter")).failure
    assert failure.kind == pb.FAILURE_KIND_CODEC
    assert "'counter' is not the name and number of an actor" in failure.message
    failure = worker.call("pass_on", cbor2.dumps("team#1")).failure
    assert "'add' is a method of the actor 'counter', and was called of" in failure.message


@pytest.mark.parametrize(
    ("capabilities", "text"),
    [
        (["host_call"], "UnknownTaskError: task {!r} was not called: the host has no actors"),
        (["actor"], "NestingLimitError: task {!r} was not called: the host takes no calls"),
    ],
)
def test_a_host_that_takes_no_such_calls(start: Start, capabilities: list[str], text: str) -> None:
    worker = start(WORKER, hello={"capabilities": ["recorder", *capabilities]})
    told = cbor2.loads(worker.call("try_it", b"\xf6").inline)
    names = ("counter", "counter.add", "counter")
    for line, name in zip(told, names, strict=True):
        assert line.startswith(text.format(name))


def test_errors_of_actors(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("try_it", b"\xf6")
    crash = pb.Crash(pid=4712, reason="it exited with status 9")
    reply(
        worker,
        worker.wait(pb.HostCall),
        failure=pb.Failure(kind=pb.FAILURE_KIND_CRASH, task="counter", crash=crash),
    )
    ended = pb.Failure(kind=pb.FAILURE_KIND_ACTOR_ENDED, message="it has ended", crash=crash)
    reply(worker, worker.wait(pb.HostCall), failure=ended)
    reentrant = pb.Failure(kind=pb.FAILURE_KIND_REENTRANT, message="can't wait for itself")
    reply(worker, worker.wait(pb.HostCall), failure=reentrant)
    assert cbor2.loads(worker.outcome(seq).inline) == [
        "CrashError: worker 4712 died running 'counter': it exited with status 9",
        "ActorEndedError: it has ended",
        "ReentrantError: can't wait for itself",
    ]
