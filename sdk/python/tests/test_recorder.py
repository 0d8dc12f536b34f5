from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cbor2
import pytest
from page import Page
from relay import Relay

from procpool import _recorder
from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Start

WORKER = """
    import os, signal, time
    import procpool

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task(codecs=("raw",))
    def echo(data: bytes) -> bytes:
        return data

    @procpool.task()
    def wait_for(path: str) -> str:
        while not os.path.exists(path):
            time.sleep(0.001)
        return path

    @procpool.task()
    def square_or_die(n: int) -> int:
        if n < 0:
            os._exit(3)
        return n * n

    @procpool.task()
    def die(number: int) -> int:
        if number:
            os.kill(os.getpid(), number)
        os._exit(3)

    procpool.serve()
"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = Page(2, tmp_path)
    yield made
    made.close()


def opened(path: str) -> _recorder.Recorder:
    barrier = _recorder.full_barrier()
    assert barrier is not None
    return _recorder.Recorder(path, barrier)


def test_the_header_is_the_documents() -> None:
    text = """
        70 72 6f 63 70 6f 6f 6c 01 00 00 00 01 00 00 00
        80 00 00 00 80 00 00 00 00 10 00 00 00 00 00 00
        00 00 01 00 00 00 00 00
    """
    assert sys.byteorder == "little"
    assert _recorder.header(1) == bytes.fromhex(text).ljust(128, b"\0")
    assert _recorder.page_size(1) == 69632
    assert _recorder.page_size(2) == 135168


def test_a_call_from_start_to_finish(page: Page) -> None:
    lane = opened(page.path).lane(1)
    assert lane.start(5, 1000)
    assert [page.read(f, 1) for f in ("started", "started_at", "finished")] == [5, 1000, 0]
    outcome = pb.WorkResponse(outcomes=[pb.Outcome(seq=5, lane=1)]).SerializeToString()
    assert lane.keep(outcome)
    assert page.read("finished", 1) == 0
    lane.finish(5)
    assert page.read("finished", 1) == 5
    assert [o.seq for o in page.journal(1)] == [5]
    assert page.journal(0) == []
    lane.empty()
    assert page.journal(1) == []


def test_the_fence_stops_what_lies_beyond_it(page: Page) -> None:
    lane = opened(page.path).lane(0)
    assert lane.start(1, 10)
    page.set_fence(2)
    assert lane.start(2, 20)
    assert not lane.start(3, 30)
    assert page.read("started") == 2
    page.set_fence(2**64 - 1)
    assert lane.start(3, 40)


def test_waiting_is_no_run_time(page: Page) -> None:
    lane = opened(page.path).lane(0)
    lane.start(1, 100)
    lane.pause(150)
    assert page.read("waiting_since") == 150
    lane.resume(400)
    assert page.read("waiting_since") == 0
    assert page.read("started_at") == 350


def test_an_outcome_that_does_not_fit_is_not_kept(page: Page) -> None:
    lane = opened(page.path).lane(0)
    assert lane.keep(b"\x0a\x00" * 32767)
    assert lane.room == 2
    assert not lane.keep(b"\x0a\x01\x00")
    assert page.read("journal_len") == 65534


def _cut(page: Page) -> str:
    path = f"/proc/self/fd/{os.memfd_create('short')}"
    Path(path).write_bytes(bytes(page.map[:4096]))
    return path


def _changed(page: Page) -> str:
    page.map[40] = 1
    return page.path


def _newer(page: Page) -> str:
    page.map[8] = 2
    return page.path


def _missing(_: Page) -> str:
    return "/nonexistent"


def _empty(_: Page) -> str:
    return "/dev/null"


@pytest.mark.skipif(sys.platform != "linux", reason="memfd_create and /proc are Linux's")
@pytest.mark.parametrize("spoil", [_cut, _changed, _newer, _missing, _empty])
def test_a_foreign_page_is_not_taken(page: Page, spoil: Callable[[Page], str]) -> None:
    with pytest.raises(_recorder.Unusable):
        opened(spoil(page))


def test_membarrier_is_there_or_refused() -> None:
    # On x86 it is not used, and works all the same where Linux has it.
    barrier = _recorder._membarrier()
    if barrier is not None:
        barrier()
    assert _recorder.full_barrier() is not None


def test_the_page_shows_how_far_a_worker_is(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    assert worker.response.recorder_open
    assert {"recorder", "fence", "journal"} <= set(worker.response.capabilities)
    path = tmp_path / "go"
    seq = worker.start("wait_for", cbor2.dumps(str(path)))
    page.wait_until(lambda: page.read("started") == seq, "the start")
    assert page.read("finished") == 0
    path.touch()
    worker.outcome(seq)
    assert page.read("finished") == seq


def test_calls_that_were_taken_back_are_declined(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    path = tmp_path / "go"
    first = worker.start("wait_for", cbor2.dumps(str(path)))
    items = [cbor2.dumps(n) for n in range(10)]
    pack = worker.start("square", b"".join(items), item_sizes=[len(item) for item in items])
    page.wait_until(lambda: page.read("started") == first, "the start")
    assert worker.fence(pack + 3) == pack + 3
    path.touch()
    outcomes = [worker.outcome(pack + i) for i in range(10)]
    kinds = [o.WhichOneof("result") for o in outcomes]
    assert kinds == ["inline"] * 4 + ["declined"] * 6
    assert page.read("started") == page.read("finished") == pack + 3


@pytest.mark.parametrize("number", [0, 9, 11])
def test_a_finished_call_survives_the_death_of_the_next(start: Start, number: int) -> None:
    for _ in range(5):
        worker = start(WORKER, hello=False)
        relay = Relay(worker)
        worker.hello()
        page = worker.page
        assert page
        # A function that is known to be short shares its message with what follows.
        for n in range(50):
            worker.call("square", cbor2.dumps(n))
        tasks = [worker.task("square", cbor2.dumps(n)) for n in range(20)]
        tasks.append(worker.task("die", cbor2.dumps(number)))
        worker.send(pb.WorkRequest(tasks=tasks))
        came = {*relay.outcomes(), *(o.seq for o in page.journal())}
        assert came >= {task.seq for task in tasks[:-1]}
        assert page.read("started") == tasks[-1].seq
        assert page.read("finished") == tasks[-2].seq


def test_a_short_function_that_dies_takes_no_result_with_it(start: Start) -> None:
    """The replies before it may not have been sent yet: then the journal has them."""
    # Here every function counts as short, and replies wait for company for ever.
    patient = WORKER.replace(
        "    procpool.serve()",
        "    lane = procpool._lane\n"
        "    lane._SHARE_BELOW = lane._SHARE_FOR = lane._SHARE_BYTES = lane._LATE = 10**15\n"
        "    procpool.serve()",
    ).replace("import procpool", "import procpool, procpool._lane")
    worker = start(patient, hello=False)
    relay = Relay(worker)
    worker.hello()
    page = worker.page
    assert page
    worker.call("square_or_die", cbor2.dumps(3))
    items = [cbor2.dumps(n) for n in (*range(10), -1)]
    first = worker.start("square_or_die", b"".join(items), item_sizes=[len(i) for i in items])
    # The end of the message before, which may come late, can take some along.
    found = relay.outcomes()
    found.update((o.seq, o) for o in page.journal())
    assert [cbor2.loads(found[first + i].inline) for i in range(10)] == [i * i for i in range(10)]
    assert page.read("finished") == first + 9


def test_a_large_result_survives_the_death_of_the_next_call(start: Start) -> None:
    worker = start(WORKER, hello=False)
    relay = Relay(worker)
    worker.hello()
    data = bytes(5 << 20)
    seq = worker.seq(count=2)
    worker.send(
        pb.WorkRequest(
            tasks=[
                worker.task("echo", data, seq=seq),
                worker.task("die", cbor2.dumps(9), seq=seq + 1),
            ]
        )
    )
    assert relay.outcomes()[seq].inline == data


def test_a_worker_that_finds_no_page_goes_without(start: Start) -> None:
    worker = start(WORKER, env={"PROCPOOL_RECORDER": "/nonexistent"})
    assert not worker.response.recorder_open
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
    assert worker.leave() == 0  # what it has written has been read then
    assert b"no flight recorder" in worker.stderr
