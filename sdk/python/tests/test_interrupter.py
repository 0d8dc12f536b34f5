from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import weakref
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from host import wait_for

from procpool import Cancelled, _cancel, _timer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def call(cancelled: bool = False) -> Any:
    return SimpleNamespace(cancelled=cancelled, told=False, over=False)


def signal_arrives() -> str:
    os.kill(os.getpid(), signal.SIGURG)
    return "went on"


def test_a_call_that_was_given_up_is_interrupted(interrupter: _cancel.Interrupter) -> None:
    running = call()

    def give_up() -> None:
        running.cancelled = True
        interrupter.interrupt(running)

    def work() -> None:
        thread = threading.Thread(target=give_up)
        thread.start()
        thread.join()
        pytest.fail("it went on")

    with pytest.raises(Cancelled):
        interrupter.run(running, work)
    assert running.told


def test_a_signal_that_comes_late_hits_nobody(interrupter: _cancel.Interrupter) -> None:
    over, next_one = call(cancelled=True), call()
    with pytest.raises(Cancelled):
        interrupter.run(over, signal_arrives)
    assert interrupter.run(next_one, signal_arrives) == "went on"
    assert signal_arrives() == "went on"  # between two calls


def test_a_call_that_was_given_up_early_does_not_begin(interrupter: _cancel.Interrupter) -> None:
    began: list[int] = []
    with pytest.raises(Cancelled):
        interrupter.run(call(cancelled=True), began.append, 1)
    assert not began


def test_each_call_is_told_once(interrupter: _cancel.Interrupter) -> None:
    running = call()

    def work() -> str:
        running.cancelled = True
        with pytest.raises(Cancelled):
            signal_arrives()
        return signal_arrives()

    assert interrupter.run(running, work) == "went on"


def test_a_shield_puts_it_off(interrupter: _cancel.Interrupter) -> None:
    running = call()
    steps: list[str] = []

    def work() -> None:
        running.cancelled = True
        with interrupter:
            with interrupter:
                steps.append(signal_arrives())
            steps.append("still inside")
        steps.append("beyond")

    with pytest.raises(Cancelled):
        interrupter.run(running, work)
    assert steps == ["went on", "still inside"]


def test_what_is_handed_over_arrives(interrupter: _cancel.Interrupter) -> None:
    """The first signal behind it may come too early, the next one can't."""
    running = call()

    def work() -> str:
        running.cancelled = True
        interrupter.hand_over()
        steps = [signal_arrives()]
        with pytest.raises(Cancelled):
            signal_arrives()
        return steps[0]

    assert interrupter.run(running, work) == "went on"


def test_an_import_comes_to_its_end(
    interrupter: _cancel.Interrupter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a module is none, and what is written in C can often not be imported again."""
    running = call()
    steps: list[str] = []

    def body() -> None:
        running.cancelled = True
        steps.append(signal_arrives())
        with interrupter:  # as around what logs
            pass
        steps.append("imported")

    (tmp_path / "imported_half.py").write_text("from imports import body\nbody()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "imports", SimpleNamespace(body=body))

    def work() -> None:
        import_module("imported_half")
        steps.append("in the task")
        signal_arrives()

    with pytest.raises(Cancelled):
        interrupter.run(running, work)
    assert steps == ["went on", "imported", "in the task"]
    del sys.modules["imported_half"]


def test_a_worker_that_is_imported_itself_is_interrupted(
    interrupter: _cancel.Interrupter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = call()

    def serve() -> None:
        running.cancelled = True
        with pytest.raises(Cancelled):
            interrupter.run(running, signal_arrives)

    (tmp_path / "imported_worker.py").write_text("from imports import serve\nserve()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "imports", SimpleNamespace(serve=serve))
    import_module("imported_worker")
    assert running.told
    del sys.modules["imported_worker"]


def test_another_thread_hands_over_what_it_likes(interrupter: _cancel.Interrupter) -> None:
    running = call()

    def work() -> None:
        running.cancelled = True
        thread = threading.Thread(target=interrupter.hand_over)
        thread.start()
        thread.join()
        signal_arrives()

    with pytest.raises(Cancelled):
        interrupter.run(running, work)


def test_a_module_keeps_it_out(
    interrupter: _cancel.Interrupter, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = call()
    monkeypatch.setattr(_cancel, "keeps_out", {__name__})

    def work() -> None:
        running.cancelled = True
        assert signal_arrives() == "went on"
        eval("arrive()", {"arrive": lambda: signal.raise_signal(signal.SIGURG)})
        monkeypatch.setattr(_cancel, "keeps_out", set())
        signal_arrives()

    with pytest.raises(Cancelled):
        interrupter.run(running, work)


def test_an_event_loop_of_the_tasks_own_does_not_swallow_it(
    interrupter: _cancel.Interrupter,
) -> None:
    running = call()
    steps: list[str] = []

    async def main() -> None:
        running.cancelled = True
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGURG)
        await asyncio.sleep(0)
        steps.append("behind the callback")
        steps.append(signal_arrives())

    with pytest.raises(Cancelled):
        interrupter.run(running, asyncio.run, main())
    assert steps == ["behind the callback"]


def test_shields_are_the_main_threads(interrupter: _cancel.Interrupter) -> None:
    running = call()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with interrupter:
            inside.set()
            leave.wait(60)

    def work() -> None:
        running.cancelled = True
        signal_arrives()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(60)
    try:
        with pytest.raises(Cancelled):
            interrupter.run(running, work)
    finally:
        leave.set()
        thread.join()


class _Noisy:
    """Something in which nothing can be raised."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.do = do

    def __del__(self) -> None:
        self.do()


def test_what_is_swallowed_is_raised_again(interrupter: _cancel.Interrupter) -> None:
    running = call()

    def work() -> None:
        running.cancelled = True
        noisy = _Noisy(signal_arrives)
        del noisy
        assert not running.told
        signal_arrives()

    with pytest.raises(Cancelled):
        interrupter.run(running, work)
    assert running.told


def test_what_others_raise_there_is_shown(interrupter: _cancel.Interrupter) -> None:
    shown: list[object] = []
    interrupter._unraisable = lambda what: shown.append(type(what.exc_value))

    def work() -> None:
        noisy = _Noisy(lambda: 1 / 0)
        del noisy

    interrupter.run(call(), work)
    assert shown == [ZeroDivisionError]


def test_the_timer_calls_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]  # stands still until all are there
    monkeypatch.setattr(_timer, "monotonic", lambda: clock[0])
    timer = _timer.Timer(lambda _, run: run)
    done: list[int] = []
    over = threading.Event()
    timer.call_later(0.05, over.set)
    for delay in (3, 1, 2):
        timer.call_later(delay / 100, lambda delay=delay: done.append(delay))  # type: ignore[misc]
    clock[0] = 1
    assert over.wait(60)
    assert done == [1, 2, 3]


def test_the_timer_forgets_what_it_has_called() -> None:
    class Work:
        def __call__(self) -> None:
            done.set()

    timer = _timer.Timer(lambda _, run: run)
    done = threading.Event()
    work = Work()
    left = weakref.ref(work)
    timer.call_later(0, work)
    del work
    assert done.wait(60)
    wait_for(lambda: left() is None, "the end of what was called")
