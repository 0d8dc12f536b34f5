"""Fixtures that start worker processes and see to it that nothing of them is left."""

from __future__ import annotations

import signal
import sys
import textwrap
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from host import Worker, wait_for

from procpool import _cancel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Start(Protocol):
    """Starts a worker that runs the source, and says Hello to it."""

    def __call__(
        self, source: str, *, hello: bool | dict[str, Any] = True, **options: Any
    ) -> Worker: ...


@pytest.fixture
def interrupter() -> Iterator[_cancel.Interrupter]:
    """Return an interrupter whose signals the test sends."""
    handler, hook = signal.getsignal(signal.SIGURG), sys.unraisablehook
    # What would be sent again is of no use here, and would outlive the test.
    still = SimpleNamespace(call_later=lambda delay, do: None)
    yield _cancel.Interrupter(still)  # type: ignore[arg-type]
    signal.signal(signal.SIGURG, handler)
    sys.unraisablehook = hook


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start workers from source text; closes them when the test is over.

    Options of hello() are given as a dict; others go to Worker.
    """
    before = set(threading.enumerate())
    workers: list[Worker] = []

    def make(source: str, *, hello: bool | dict[str, Any] = True, **options: Any) -> Worker:
        path = tmp_path / f"worker{len(workers)}.py"
        path.write_text(textwrap.dedent(source))
        worker = Worker(path, **options)
        workers.append(worker)
        if hello:
            worker.hello(**(hello if isinstance(hello, dict) else {}))
        return worker

    yield make
    failures = []
    for worker in workers:
        try:
            worker.close()
        except Exception as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    wait_for(lambda: set(threading.enumerate()) <= before, "the end of the host's threads")
