"""A worker that serves a counter and other actors, and how tests work with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cbor2

if TYPE_CHECKING:
    from pathlib import Path

    from host import Worker

    from procpool._gen import worker_pb2 as pb

OPEN, CLOSE = 0, 4294967295
ADD, ADD_LATER, FAIL, HOLD, HOLD_ASYNC, EXIT, NAME, BYTES, DEEP, UNFIT, REFUSE = range(1, 12)
WORKER = """
    import asyncio, os, time
    from pathlib import Path
    import procpool

    class Odd(Exception):
        pass

    class Never(Exception):
        pass

    def note(path, line):
        with open(path, "a") as file:
            file.write(line + "\\n")

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.actor("counter", errors={"odd": Odd, "error": Exception})
    class Counter:
        '''Counts.'''

        def __init__(self, how: dict) -> None:
            self.total = how.get("start", 0)
            self.mark = how.get("mark")
            self.bad_end = how.get("bad_end", False)
            if self.mark:
                note(self.mark, "opened")
            if how.get("hold"):
                time.sleep(3600)
            if "exit" in how:
                os._exit(how["exit"])
            if "fail" in how:
                raise Odd(how["fail"])

        @procpool.method()
        def add(self, n: int) -> int:
            '''Add a number.

            To the total.
            '''
            self.total += n
            return self.total

        @procpool.method()
        async def add_later(self, n: int) -> int:
            await asyncio.sleep(0)
            self.total += n
            return self.total

        @procpool.method(errors={"never": Never})
        def fail(self, text: str) -> None:
            self.total += 1
            raise Odd(text)

        @procpool.method()
        def hold(self, mark: str) -> str:
            try:
                note(mark, "started")
                time.sleep(3600)
            finally:
                self.total += 100

        @procpool.method("hold_async")
        async def hold_in_loop(self, mark: str) -> str:
            try:
                note(mark, "started")
                await asyncio.sleep(3600)
            finally:
                self.total += 1000

        @procpool.method()
        def exit(self, status: int) -> None:
            os._exit(status)

        @procpool.method()
        def name(self) -> str:
            return procpool.context().name

        @procpool.method(codecs=("raw", "cbor"))
        def as_bytes(self, size: bytes) -> bytes:
            return size * 2

        @procpool.method()
        def deep(self, n: int) -> int:
            return self.deep(n + 1)

        @procpool.method()
        def unfit(self) -> object:
            return self

        @procpool.method(errors={"refused": Odd})
        def refuse(self, text: str) -> None:
            raise Odd(text)

        def close(self) -> None:
            if self.mark:
                note(self.mark, f"closed at {self.total}")
            if self.bad_end:
                raise Odd("no end")

    @procpool.actor()
    class Plain:
        @procpool.method()
        def seven(self) -> int:
            return 7

    @procpool.actor()
    class Later:
        def __init__(self, mark: str) -> None:
            self.mark = mark

        @procpool.method()
        async def loop(self) -> int:
            return id(asyncio.get_running_loop())

        async def close(self) -> None:
            await asyncio.sleep(0)
            note(self.mark, f"closed in {id(asyncio.get_running_loop())}")

    procpool.serve()
"""


def opened(worker: Worker, number: int = 1, **how: Any) -> None:
    outcome = worker.call("counter", cbor2.dumps(how), actor=number)
    assert outcome.WhichOneof("result") == "inline", outcome
    assert outcome.inline == b""


def call(worker: Worker, method: int, argument: Any = None, number: int = 1) -> pb.Outcome:
    return worker.call("counter", cbor2.dumps(argument), actor=number, method=method)


def total(worker: Worker, number: int = 1) -> int:
    value = cbor2.loads(call(worker, ADD, 0, number).inline)
    assert isinstance(value, int)
    return value


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
