"""The standard functions of docs/conformance.md, served with this SDK."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import standard_shared

import procpool


class Known(Exception):
    """What the task `fail` has named `known`."""


def note(path: str, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)


def await_file(path: str | None) -> None:
    while path is None or not os.path.exists(path):
        time.sleep(0.005)


def holding(mark: str, until: str | None) -> str:
    try:
        note(mark, "started")
        await_file(until)
    except procpool.Cancelled:
        note(mark, "cancelled")
        raise
    note(mark, "released")
    return "released"


# Values


@procpool.task()
def echo(value: Any) -> Any:
    return value


@procpool.task(codecs=("raw",))
def echo_bytes(data: bytes) -> bytes:
    return data


@procpool.task()
def add(numbers: dict[str, int]) -> int:
    return numbers["a"] + numbers["b"]


@procpool.task(codecs=("cbor",))
def length(data: bytes) -> int:
    return len(data)


@procpool.task(codecs=("cbor",))
def make_bytes(n: int) -> bytes:
    return (bytes(range(251)) * (n // 251 + 1))[:n]


@procpool.task()
def unencodable() -> Any:
    return echo


# Failures


@procpool.task(errors={"known": Known})
def fail(how: dict[str, Any]) -> None:
    error: Any = (Known if how.get("code") == "known" else ValueError)(how["message"])
    if notes := how.get("notes"):
        error.__notes__ = notes  # what add_note does, which Python 3.10 lacks
    if cause := how.get("cause"):
        raise error from ValueError(cause)
    raise error


@procpool.task()
def panic(text: str) -> None:
    raise AssertionError(text)


@procpool.task()
def end_thread() -> None:
    sys.exit("the thread was ended")


# Deaths


@procpool.task(name="exit")
def exit_now(status: int) -> None:
    os._exit(status)


@procpool.task()
def die(number: int) -> None:
    os.kill(os.getpid(), number)
    while True:
        signal.pause()


# Waiting


@procpool.task()
def hold(how: dict[str, Any]) -> str:
    return holding(how["mark"], how.get("until"))


@procpool.task()
def hold_out(how: dict[str, Any]) -> None:
    note(how["mark"], "started")
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(3600)


@procpool.task()
def spin(how: dict[str, Any]) -> str:
    mark, until = how["mark"], how["until"]
    try:
        note(mark, "started")
        look = 0.0
        while True:
            if time.monotonic() >= look:
                if os.path.exists(until):
                    break
                look = time.monotonic() + 0.005
    except procpool.Cancelled:
        note(mark, "cancelled")
        raise
    note(mark, "released")
    return "released"


# Effects


@procpool.task(name="note")
def note_line(what: dict[str, Any]) -> None:
    note(what["path"], what["line"])
    if (status := what.get("exit")) is not None:
        os._exit(status)


@procpool.task()
def pid() -> int:
    return os.getpid()


@procpool.task()
def environment() -> dict[str, str]:
    ran = subprocess.run(["env", "-0"], stdout=subprocess.PIPE, check=True)
    texts = ran.stdout.decode(errors="replace").split("\0")
    return dict(text.split("=", 1) for text in texts if "=" in text)


@procpool.task()
def read_stdin() -> int:
    total = 0
    while data := os.read(0, 65536):
        total += len(data)
    return total


@procpool.task(codecs=("cbor",))
def write(what: dict[str, Any]) -> None:
    stream = sys.stdout if what["to"] == "stdout" else sys.stderr
    times = what.get("times")
    for _ in range(1 if times is None else times):
        stream.buffer.write(what["data"])
    stream.flush()


@procpool.task()
def child() -> int:
    return subprocess.Popen(["sleep", "1000"]).pid


# Streams


@procpool.stream()
def count(how: dict[str, Any]) -> Iterator[int]:
    n, until, mark = how["n"], how.get("until"), how.get("mark")
    try:
        value = 0
        while n < 0 or value < n:
            yield value
            if value == 0 and until is not None:
                await_file(until)
            value += 1
        if (status := how.get("exit")) is not None:
            os._exit(status)
        if (message := how.get("fail")) is not None:
            raise ValueError(message)
    finally:
        if mark is not None:
            note(mark, "ended")


@procpool.stream(codecs=("cbor",))
def chunks(how: dict[str, int]) -> Iterator[bytes]:
    for _ in range(how["n"]):
        yield make_bytes(how["size"])


# Sessions


@procpool.session()
def echo_session(_: None, values: Iterator[Any]) -> Iterator[Any]:
    yield from values


@procpool.session()
def sum_session(start: int, values: Iterator[int]) -> Iterator[int]:
    yield start + sum(values)


@procpool.session()
def take_session(how: dict[str, Any], values: Iterator[Any]) -> Iterator[Any]:
    for _ in range(how["n"]):
        yield next(values)
    if (message := how.get("fail")) is not None:
        raise ValueError(message)


@procpool.session()
def deaf_session(how: dict[str, Any], _: Iterator[Any]) -> Iterator[Any]:
    holding(how["mark"], how.get("until"))
    yield from ()


# What a call knows and says


@procpool.task()
def context() -> dict[str, Any]:
    call = procpool.context()
    return {
        "seconds_left": None if call.deadline is None else call.deadline - time.monotonic(),
        "attempt": call.attempt,
        "metadata": dict(call.metadata),
    }


@procpool.task()
def progress(reports: list[dict[str, Any]]) -> None:
    call = procpool.context()
    for report in reports:
        call.report(report["done"], report["total"], report["message"])


@procpool.task()
def log(lines: list[dict[str, Any]]) -> None:
    logger = procpool.context().logger
    for line in lines:
        level = {"debug": 10, "info": 20, "warn": 30, "error": 40}[line["level"]]
        logger.log(level, line["message"], extra=line.get("fields") or {})


@procpool.task()
def call(what: dict[str, Any]) -> dict[str, Any]:
    here = procpool.context()
    try:
        if what.get("leave"):
            here.submit(what["name"], what["argument"])
            return {"value": None}
        return {"value": here.call(what["name"], what["argument"])}
    except Exception as error:
        return {"error": str(error)}


@procpool.task()
def call_stream(what: dict[str, Any]) -> list[Any]:
    values: list[Any] = []
    take = what["take"]
    if take == 0:
        procpool.context().stream(what["name"], what["argument"]).close()
        return values
    for value in procpool.context().stream(what["name"], what["argument"]):
        values.append(value)
        if len(values) == take:
            break
    return values


# Actors


@procpool.actor("tally")
class Tally:
    def __init__(self, how: dict[str, Any]) -> None:
        self.sum: int = how["start"]
        self.mark, self.fail_close = how.get("mark"), how.get("fail_close")
        self.note("opened")
        if (status := how.get("exit")) is not None:
            os._exit(status)
        if (message := how.get("fail")) is not None:
            raise ValueError(message)

    def note(self, line: str) -> None:
        if self.mark is not None:
            note(self.mark, line)

    @procpool.method()
    def add(self, n: int) -> int:
        self.sum += n
        return self.sum

    @procpool.method()
    def fail(self, message: str) -> None:
        self.sum += 1
        raise ValueError(message)

    @procpool.method()
    def hold(self, how: dict[str, Any]) -> str:
        return holding(how["mark"], how.get("until"))

    @procpool.method()
    def exit(self, status: int) -> None:
        os._exit(status)

    @procpool.method()
    def pid(self) -> int:
        return os.getpid()

    @procpool.method()
    def call_actor(self, what: dict[str, Any]) -> dict[str, Any]:
        return call_actor(what)

    def close(self) -> None:
        self.note("closed")
        if self.fail_close is not None:
            raise ValueError(self.fail_close)


def trouble(error: Exception) -> dict[str, Any]:
    kinds: dict[type[Exception], str] = {
        procpool.ActorEndedError: "ended",
        procpool.ReentrantError: "reentrant",
        procpool.CrashError: "crash",
    }
    return {"error": str(error), "kind": kinds.get(type(error), "other")}


@procpool.task()
def call_actor(what: dict[str, Any]) -> dict[str, Any]:
    try:
        if (text := what.get("ref")) is not None:
            ref = procpool.Ref(text)
        else:
            ref = procpool.context().spawn(
                what["actor"],
                what.get("open"),
                shared=what.get("shared") or False,
                restarts=what.get("restarts") or 0,
            )
    except Exception as error:
        return {"values": [], **trouble(error)}
    values: list[dict[str, Any]] = []
    for step in what.get("calls") or ():
        try:
            values.append({"value": ref.call(step["method"], step["argument"])})
        except Exception as error:
            values.append(trouble(error))
    if (mark := what.get("mark")) is not None:
        holding(mark, what.get("until"))
    done: dict[str, Any] = {"ref": str(ref), "values": values}
    if what.get("close"):
        try:
            ref.close()
        except Exception as error:
            done.update(trouble(error))
    return done


# Shared state


def step_beside(operation: str, how: dict[str, Any]) -> dict[str, Any]:
    if operation == "hold":
        holding(how["mark"], how.get("until"))
    elif operation == "hold_out":
        cancelled = None
        try:
            note(how["mark"], "started")
            await_file(how["until"])
        except procpool.Cancelled as told:  # which comes once
            cancelled = told
            await_file(how["until"])
        note(how["mark"], "released")
        if cancelled is not None:
            raise cancelled
    elif operation == "note":
        note(how["path"], how["line"])
    elif operation == "exit":
        os._exit(how["status"])
    else:
        raise ValueError(f"there is no operation {operation!r}")
    return {}


@procpool.task(name="shared")
def take_steps(how: dict[str, Any]) -> list[dict[str, Any]]:
    state = standard_shared.Operations()
    given: list[dict[str, Any]] = []
    for step in how["steps"]:
        operation, arguments = step["operation"], step.get("arguments") or {}
        take = state.take if "." in operation else step_beside
        try:
            given.append({"value": take(operation, arguments)})
        except Exception as error:
            given.append({"error": str(error), "code": standard_shared.code(error)})
    return given


if __name__ == "__main__":
    procpool.serve()
