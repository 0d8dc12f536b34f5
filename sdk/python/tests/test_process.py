from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import cbor2
import pytest
from host import StartFailure, process_environment, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

WORKER = """
    import os, subprocess, sys
    import procpool

    at_import = [name for name in os.environ if name.startswith(("PLUGIN_", "PROCPOOL_"))]

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task()
    def variables(_: None) -> list:
        here = [name for name in os.environ if name.startswith(("PLUGIN_", "PROCPOOL_"))]
        return [at_import, here]

    @procpool.task()
    def read_stdin(_: None) -> list:
        child = subprocess.run([sys.executable, "-c", "print(len(input() or 'x'))"],
                               capture_output=True)
        return [sys.stdin.read(), os.read(0, 10), b"EOFError" in child.stderr]

    @procpool.task()
    def say(text: str) -> None:
        print(text)

    procpool.serve()
"""


def test_the_hosts_variables_are_not_for_user_code(start: Start) -> None:
    worker = start(WORKER)
    seen = cbor2.loads(worker.call("variables", b"\xf6").inline)
    assert seen == [["PROCPOOL_DEPTH"], ["PROCPOOL_DEPTH"]]


def test_standard_input_is_empty_for_user_code(start: Start) -> None:
    worker = start(WORKER)
    assert cbor2.loads(worker.call("read_stdin", b"\xf6").inline) == ["", b"", True]
    assert worker.leave() == 0


def test_what_is_printed_leaves_line_by_line(start: Start) -> None:
    worker = start(WORKER)
    worker.call("say", cbor2.dumps("a line"))
    worker.wait_line(b"a line")


def test_output_without_a_newline_does_not_hide_the_handshake(start: Start) -> None:
    worker = start("import sys\nsys.stdout.write('loading: 97%')\n" + _dedented(WORKER))
    assert b"loading: 97%" in worker.lines
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)


def _dedented(source: str) -> str:
    import textwrap

    return textwrap.dedent(source)


def test_by_hand_it_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "worker.py"
    path.write_text(_dedented(WORKER))
    ran = subprocess.run(
        [sys.executable, str(path)], env=process_environment(), capture_output=True, check=False
    )
    assert ran.returncode == 1
    assert b"is a procpool worker" in ran.stderr
    assert ran.stdout == b""


def test_a_child_that_runs_the_program_again_says_what_to_do(start: Start) -> None:
    worker = start(
        """
        import multiprocessing
        import procpool

        @procpool.task()
        def child() -> int:
            process = multiprocessing.get_context("spawn").Process(target=print)
            process.start()
            process.join()
            return process.exitcode

        procpool.serve()
        """
    )
    assert worker.call("child", b"\xf6").inline == b"\x01"
    wait_for(lambda: b'put it under if __name__ == "__main__":' in worker.stderr, "the advice")


def test_mutual_tls_is_refused(start: Start) -> None:
    with pytest.raises(StartFailure, match="AutoMTLS"):
        start(WORKER, env={"PLUGIN_CLIENT_CERT": "-----BEGIN CERTIFICATE-----"})


def test_initializers_run_first_and_finalizers_last(start: Start) -> None:
    worker = start(
        """
        import asyncio, threading
        import procpool

        state = []

        @procpool.initializer
        def load():
            state.append(threading.current_thread() is threading.main_thread())

        @procpool.initializer
        async def connect():
            await asyncio.sleep(0)
            state.append(asyncio.create_task(count()))

        async def count():
            while True:
                await asyncio.sleep(0.001)
                state.append("tick")

        @procpool.task()
        async def look() -> list:
            before = len(state)
            while len(state) < before + 3:
                await asyncio.sleep(0.001)
            return [state[0], state[1].done()]

        @procpool.finalizer
        def unload():
            print("unloaded")

        @procpool.finalizer
        async def disconnect():
            await asyncio.sleep(0)
            print("disconnected")

        procpool.serve()
        """
    )
    # What an initializer has started goes on, call after call.
    for _ in range(2):
        assert cbor2.loads(worker.call("look", b"\xf6").inline) == [True, False]
    assert worker.leave() == 0
    assert worker.lines[-2:] == [b"unloaded", b"disconnected"]


@pytest.mark.parametrize("what", ["raise ValueError('no model')", "import sys; sys.exit(0)"])
def test_a_failing_initializer_fails_the_start(start: Start, what: str) -> None:
    source = f"""
        import procpool

        @procpool.initializer
        def load():
            {what}

        procpool.serve()
        """
    with pytest.raises(StartFailure, match=r"(?s)exit status 1.*initializer 'load' has failed"):
        start(source)


def test_serve_wants_the_main_thread(start: Start) -> None:
    source = """
        import threading
        import procpool
        thread = threading.Thread(target=procpool.serve)
        thread.start()
        thread.join()
        """
    with pytest.raises(StartFailure, match="main thread"):
        start(source)


def test_children_that_are_forked_do_not_answer(start: Start) -> None:
    worker = start(
        """
        import multiprocessing, os
        import procpool

        @procpool.task()
        def square(n: int) -> int:
            return n * n

        @procpool.task()
        def forked(_: None) -> bool:
            child = os.fork()
            if child == 0:
                return True  # back into what is the parent's
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0

        @procpool.task()
        def pooled(n: int) -> int:
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return sum(pool.map(square, range(n)))

        @procpool.task()
        def spawned(n: int) -> int:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return sum(pool.map(square, range(n)))

        if __name__ == "__main__":
            procpool.serve()
        """
    )
    assert cbor2.loads(worker.call("forked", b"\xf6").inline) is True
    assert cbor2.loads(worker.call("pooled", b"\x04").inline) == 14
    assert cbor2.loads(worker.call("spawned", b"\x04").inline) == 14
    assert worker.leave() == 0


def test_nothing_is_left_open_for_children(start: Start) -> None:
    worker = start(
        """
        import os, subprocess, sys
        import procpool

        @procpool.task()
        def descriptors(_: None) -> list:
            code = "import os; print(len(os.listdir('/proc/self/fd')) - 1)"
            ran = subprocess.run([sys.executable, "-c", code], stdout=-1, close_fds=False)
            return [int(ran.stdout)]

        procpool.serve()
        """
    )
    if os.path.isdir("/proc/self/fd"):
        assert cbor2.loads(worker.call("descriptors", b"\xf6").inline) == [3]
