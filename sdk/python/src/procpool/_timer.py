"""Calling something a little later."""

from __future__ import annotations

import heapq
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """One thread that calls functions when it is time. They must not block or raise.

    The thread starts with the first use, and never ends: it is a daemon.
    """

    def __init__(self, guard: Callable[[str, Callable[[], None]], Callable[[], None]]) -> None:
        self._guard = guard
        self._changed = Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._running = False

    def call_later(self, delay: float, do: Callable[[], None]) -> None:
        """Have do called in that many seconds. Does not block."""
        with self._changed:
            self._count += 1  # so that functions are never compared
            heapq.heappush(self._due, (monotonic() + delay, self._count, do))
            if not self._running:
                self._running = True
                run = self._guard("the timer", self._run)
                Thread(target=run, name="procpool-timer", daemon=True).start()
            elif self._due[0][1] == self._count:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > monotonic():
                    self._changed.wait(self._due[0][0] - monotonic() if self._due else None)
                do = heapq.heappop(self._due)[2]
            do()
            del do  # or what it holds would live until there is something else to do
