from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

WORKER = """
    import asyncio, sys, threading
    import procpool
    from procpool._runtime import current_call

    loops = []
    notes = []

    @procpool.task()
    async def square(n: int) -> int:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return n * n

    @procpool.task()
    async def facts(_: None) -> list:
        task = asyncio.create_task(seq_of())
        main = threading.current_thread() is threading.main_thread()
        return [main, all(loop is loops[0] for loop in loops), await task]

    async def seq_of():
        return current_call.get().seq

    @procpool.task()
    async def leave(_: None) -> None:
        async def straggle(n):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                notes.append(n)
                raise
        for n in range(3):
            asyncio.create_task(straggle(n))
        await asyncio.sleep(0)

    @procpool.task()
    def noted(_: None) -> list:
        return notes

    @procpool.task()
    async def sleep(path: str) -> None:
        open(path, "w").close()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            notes.append("cancelled")
            raise

    @procpool.task()
    async def fail(how: str) -> None:
        await asyncio.sleep(0)
        if how == "exit":
            sys.exit(5)
        if how == "cancel itself":
            raise asyncio.CancelledError
        raise {"interrupt": KeyboardInterrupt, "value": ValueError}[how](how)

    @procpool.task()
    def own_loop(n: int) -> int:
        return asyncio.run(square.__wrapped__(n) if hasattr(square, "__wrapped__") else square(n))

    procpool.serve()
"""


def test_coroutines_share_a_loop_in_the_main_thread(start: Start) -> None:
    worker = start(WORKER)
    for n in range(20):
        assert cbor2.loads(worker.call("square", cbor2.dumps(n)).inline) == n * n
    seq = worker.start("facts", b"\xf6")
    assert cbor2.loads(worker.outcome(seq).inline) == [True, True, seq]
    assert cbor2.loads(worker.call("own_loop", b"\x07").inline) == 49
    assert cbor2.loads(worker.call("square", b"\x07").inline) == 49


def test_what_a_call_leaves_is_cancelled_at_its_end(start: Start) -> None:
    worker = start(WORKER)
    assert not worker.call("leave", b"\xf6").HasField("failure")
    assert sorted(cbor2.loads(worker.call("noted", b"\xf6").inline)) == [0, 1, 2]
    worker.leave()
    assert worker.stderr == b""


def test_a_cancel_cancels_the_coroutine(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    assert worker.page
    for n in range(3):
        path = tmp_path / str(n)
        seq = worker.start("sleep", cbor2.dumps(str(path)))
        worker.page.wait_until(path.exists, "the start")
        worker.cancel(seq)
        failure = worker.outcome(seq).failure
        assert failure.kind == pb.FAILURE_KIND_TASK
        assert failure.type.endswith("Cancelled")
    assert cbor2.loads(worker.call("noted", b"\xf6").inline) == ["cancelled"] * 3


def test_a_cancel_at_any_moment_is_not_lost(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    for n in range(100):
        seq = worker.start("sleep", cbor2.dumps(str(tmp_path / "mark")))
        for _ in range(n % 4):
            worker.ping(n)
        worker.cancel(seq)
        assert worker.outcome(seq).WhichOneof("result") in ("failure", "declined")
    assert cbor2.loads(worker.call("square", b"\x07").inline) == 49


def test_failures(start: Start) -> None:
    worker = start(WORKER)
    kinds = {
        "exit": pb.FAILURE_KIND_EXIT,
        "interrupt": pb.FAILURE_KIND_TASK,
        "value": pb.FAILURE_KIND_TASK,
        "cancel itself": pb.FAILURE_KIND_TASK,
    }
    for how, kind in kinds.items():
        assert worker.call("fail", cbor2.dumps(how)).failure.kind == kind
        assert cbor2.loads(worker.call("square", b"\x07").inline) == 49
    worker.leave()
    assert worker.stderr == b""
