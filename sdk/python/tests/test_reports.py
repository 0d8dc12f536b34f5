from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2
import pytest

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from conftest import Start

WORKER = """
    import time
    import procpool
    from procpool._runtime import current_call, process

    @procpool.task()
    def report(n: int) -> None:
        for i in range(1, n + 1):
            current_call.get().progress(i, n, f"step {i}")

    @procpool.task()
    def report_and_wait(path: str) -> None:
        import os
        call = current_call.get()
        call.progress(1, 2, "first")
        call.progress(2, 2, "second")
        while not os.path.exists(path):
            time.sleep(0.001)

    @procpool.task()
    def log(lines: list) -> None:
        for level, message, fields in lines:
            current_call.get().log(level, message, fields, 5)

    kept = []

    @procpool.task()
    def keep(_: None) -> None:
        kept.append(current_call.get())

    @procpool.task()
    def late(_: None) -> None:
        kept[0].log(2, "too late", {}, 0)
        kept[0].progress(1, 1, "too late")
        process.host.log(3, "of no call", {}, 0)

    procpool.serve()
"""


def test_the_first_and_the_last_report_come(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("report", cbor2.dumps(2000))
    worker.outcome(seq)
    reports = worker.taken(pb.Progress)
    assert all(report.seq == seq for report in reports)
    assert (reports[0].done, reports[0].total, reports[0].message) == (1.0, 2000.0, "step 1")
    assert reports[-1].done == 2000
    assert [r.done for r in reports] == sorted({r.done for r in reports})
    assert len(reports) < 1000  # at most one in 10 ms, of calls of microseconds


def test_a_report_that_waits_is_sent_though_the_task_says_no_more(
    start: Start, tmp_path: object
) -> None:
    worker = start(WORKER)
    path = f"{tmp_path}/go"
    seq = worker.start("report_and_wait", cbor2.dumps(path))
    assert [worker.wait(pb.Progress).message for _ in range(2)] == ["first", "second"]
    with open(path, "w"):
        worker.outcome(seq)


def test_lines_for_the_log(start: Start) -> None:
    worker = start(WORKER, hello={"log_level": pb.LOG_LEVEL_INFO})
    lines = [
        [1, "not wanted", {}],
        [2, "plain", {}],
        [4, "with fields", {"a": "1"}],
        [3, "x" * 70000, {str(i): "y" * 1000 for i in range(200)}],
    ]
    seq = worker.start("log", cbor2.dumps(lines))
    worker.outcome(seq)
    logs = worker.taken(pb.Log)
    assert [log.message for log in logs[:2]] == ["plain", "with fields"]
    assert all(log.seq == seq and log.time_unix_nanos == 5 for log in logs)
    assert dict(logs[1].fields) == {"a": "1"}
    assert len(logs[2].message) == 65536
    assert len(logs[2].fields) == 65


@pytest.mark.parametrize("level", [pb.LOG_LEVEL_UNSPECIFIED, pb.LOG_LEVEL_ERROR])
def test_lines_that_nobody_wants_are_not_sent(start: Start, level: pb.LogLevel) -> None:
    worker = start(WORKER, hello={"log_level": level})
    worker.call("log", cbor2.dumps([[2, "one", {}], [3, "two", {}]]))
    assert not worker.taken(pb.Log)


def test_nothing_is_sent_that_was_not_offered(start: Start) -> None:
    worker = start(WORKER, hello={"capabilities": ["recorder", "fence"]})
    worker.call("report", cbor2.dumps(10))
    worker.call("log", cbor2.dumps([[4, "one", {}]]))
    assert not worker.taken(pb.Progress)
    assert not worker.taken(pb.Log)


def test_what_is_said_for_a_call_that_has_ended_is_dropped(start: Start) -> None:
    worker = start(WORKER)
    worker.call("keep", b"\xf6")
    worker.call("late", b"\xf6")
    logs = worker.taken(pb.Log)
    assert [(log.message, log.seq) for log in logs] == [("of no call", 0)]
    assert not worker.taken(pb.Progress)
