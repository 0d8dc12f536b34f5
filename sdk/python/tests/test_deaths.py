from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import cbor2
import pytest

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

WORKER = """
    import ctypes, os, signal, subprocess, sys, threading, time
    import procpool

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task()
    def die(how: str) -> int:
        if how == "exit":
            os._exit(7)
        if how == "exit well":
            os._exit(0)
        if how == "abort":
            os.abort()
        if how == "fault":
            reads_nothing()
        os.kill(os.getpid(), getattr(signal, how))
        time.sleep(60)
        return 0

    def reads_nothing():
        ctypes.string_at(0)

    @procpool.task()
    def leave_a_thread(_: None) -> int:
        threading.Thread(target=time.sleep, args=(3600,)).start()
        return 0

    @procpool.task()
    def leave_a_child(_: None) -> int:
        return subprocess.Popen(["sleep", "3600"]).pid

    @procpool.task()
    def sleep(path: str) -> int:
        try:
            open(path, "w").close()
            time.sleep(3600)
        finally:
            os.unlink(path)

    @procpool.task()
    def stick(path: str) -> int:
        open(path, "w").close()
        while True:
            try:
                time.sleep(3600)
            except BaseException:
                pass

    @procpool.finalizer
    def say_goodbye():
        print("goodbye")

    procpool.serve()
"""


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("exit", 7),
        ("exit well", 0),
        ("abort", -signal.SIGABRT),
        ("fault", -signal.SIGSEGV),
        ("SIGKILL", -signal.SIGKILL),
        ("SIGTERM", -signal.SIGTERM),
    ],
)
def test_a_death_is_seen_as_what_it_is(start: Start, how: str, status: int) -> None:
    worker = start(WORKER)
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
    seq = worker.start("die", cbor2.dumps(how))
    assert worker.wait_death() == status
    assert not worker.taken(pb.Outcome)
    assert worker.page
    assert worker.page.read("started") == seq
    assert worker.page.read("finished") == seq - 1
    if how in ("fault", "abort"):
        assert b"in die" in worker.stderr
    if how == "fault":
        assert b"in reads_nothing" in worker.stderr


def test_an_idle_worker_leaves_in_peace(start: Start) -> None:
    worker = start(WORKER)
    worker.call("square", b"\x07")
    assert worker.leave() == 0
    assert worker.lines[-1] == b"goodbye"
    assert worker.stderr == b""


def test_a_worker_leaves_before_its_host_has_come(start: Start) -> None:
    worker = start(WORKER, hello=False)
    assert worker.leave() == 0


@pytest.mark.parametrize("name", ["leave_a_thread", "leave_a_child"])
def test_threads_and_children_keep_no_worker(start: Start, name: str) -> None:
    worker = start(WORKER)
    outcome = worker.call(name, b"\xf6")
    assert worker.process.stdin
    worker.process.stdin.close()
    assert worker.process.wait(60) == 0
    if name == "leave_a_child":
        os.kill(cbor2.loads(outcome.inline), 0)  # the host's to kill, by the group


def test_a_running_call_is_cut_short(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    path = tmp_path / "mark"
    worker.start("sleep", cbor2.dumps(str(path)))
    worker.start("square", b"\x07")
    assert worker.page
    worker.page.wait_until(path.exists, "the start")
    assert worker.leave() == 0
    assert not path.exists()
    assert worker.page.read("started") == 1


def test_a_call_that_sticks_is_left_behind(start: Start, tmp_path: Path) -> None:
    worker = start(WORKER)
    path = tmp_path / "mark"
    worker.start("stick", cbor2.dumps(str(path)))
    assert worker.page
    worker.page.wait_until(path.exists, "the start")
    assert worker.leave() == 0


def test_the_end_of_the_connection_is_the_end(start: Start) -> None:
    worker = start(WORKER)
    worker.call("square", b"\x07")
    worker._work.put(None)  # the host ends the stream
    assert worker.process.wait(60) == 0


def test_ctrl_c_is_the_hosts(start: Start) -> None:
    worker = start(WORKER)
    os.killpg(worker.process.pid, signal.SIGINT)
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
