"""Exceptions as data, and back as the errors of nested calls."""

from __future__ import annotations

import builtins
import itertools
import sys
from typing import Any

import pytest

import procpool
from procpool import _failure, _task
from procpool._failure import CodecFailure
from procpool._gen import worker_pb2 as pb


class NotFound(Exception):
    pass


class Missing(NotFound):
    pass


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def nothing(argument: object) -> object:
    return argument


TASK = _task.Task(
    "function", "find", nothing, errors={"missing": Missing, "not_found": (NotFound, KeyError)}
)


def caught(raiser: Any) -> BaseException:
    try:
        raiser()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def failure_of(raiser: Any) -> pb.Failure:
    failure = _failure.of(caught(raiser), TASK)
    assert pb.Failure.FromString(failure.SerializeToString()) == failure
    assert failure.task == "find"
    assert failure.language == "python"
    return failure


def raising(error: BaseException) -> Any:
    def f() -> None:
        raise error

    return f


def test_an_exception() -> None:
    failure = failure_of(raising(ValueError("too big")))
    assert failure.kind == pb.FAILURE_KIND_TASK
    assert (failure.type, failure.message, failure.code) == ("ValueError", "too big", "")
    assert failure.stack.startswith("Traceback (most recent call last):\n")
    assert failure.stack.endswith("ValueError: too big\n")
    assert "raise error" in failure.stack
    assert not failure.HasField("cause")


def test_types_have_their_modules() -> None:
    assert failure_of(raising(NotFound("x"))).type == "test_failure.NotFound"
    assert failure_of(lambda: __import__("json").loads("{")).type == "json.decoder.JSONDecodeError"


def test_the_packages_own_errors_have_their_public_names() -> None:
    assert failure_of(raising(procpool.CrashError("died"))).type == "procpool.CrashError"
    cancelled = failure_of(raising(procpool.Cancelled()))
    assert cancelled.type == "procpool.Cancelled"
    assert "\nprocpool.Cancelled" in cancelled.stack


def test_sentinels() -> None:
    assert failure_of(raising(NotFound())).code == "not_found"
    assert failure_of(raising(Missing())).code == "missing"
    assert failure_of(raising(KeyError("a"))).code == "not_found"
    assert failure_of(raising(ValueError())).code == ""


def test_exits_and_others_that_are_no_exceptions() -> None:
    exit_ = failure_of(lambda: sys.exit(4))
    assert (exit_.kind, exit_.type) == (pb.FAILURE_KIND_EXIT, "SystemExit")
    assert exit_.message == "SystemExit: 4"
    assert "sys.exit(4)" in exit_.stack
    for error in (KeyboardInterrupt(), GeneratorExit()):
        failure = failure_of(raising(error))
        assert (failure.kind, failure.type) == (pb.FAILURE_KIND_TASK, type(error).__name__)
    cancelled = failure_of(raising(procpool.Cancelled()))
    assert cancelled.kind == pb.FAILURE_KIND_TASK
    assert cancelled.message == "the call was given up"


def test_codec_failures() -> None:
    failure = failure_of(raising(CodecFailure("encode the result", "cbor", "result: no")))
    assert failure.kind == pb.FAILURE_KIND_CODEC
    assert (failure.op, failure.codec, failure.message) == (
        "encode the result",
        "cbor",
        "result: no",
    )


def test_own_frames_are_left_out() -> None:
    def task(_: object) -> object:
        procpool.context().submit("x")
        return None

    made = _task.Task("function", "t", task)
    # The machinery's frames are above the task's, and those of submit below it.
    failure = failure_of(lambda: made.function(None))
    assert "procpool.context().submit" in failure.stack
    assert "_context.py" not in failure.stack
    wrapped = failure_of(lambda: made.decode("cbor", b""))
    assert wrapped.stack == ""


def test_causes() -> None:
    def f() -> None:
        try:
            try:
                raise KeyError("inner")
            except KeyError:
                raise ValueError("middle")  # noqa: B904
        except ValueError as error:
            raise RuntimeError("outer") from error

    failure = failure_of(f)
    assert (failure.type, failure.message) == ("RuntimeError", "outer")
    assert (failure.cause.type, failure.cause.message) == ("ValueError", "middle")
    assert (failure.cause.cause.type, failure.cause.cause.message) == ("KeyError", "'inner'")
    assert not failure.cause.cause.HasField("cause")
    for text in ("inner", "direct cause", "During handling"):
        assert text in failure.stack

    def suppressed() -> None:
        try:
            raise KeyError
        except KeyError:
            raise ValueError from None

    assert not failure_of(suppressed).HasField("cause")


def test_a_chain_is_bounded_and_may_be_a_ring() -> None:
    errors = [ValueError(str(i)) for i in range(50)]
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    failure, depth = failure_of(raising(errors[0])), 0
    while failure.HasField("cause"):
        failure, depth = failure.cause, depth + 1
    assert depth == 8
    errors[1].__cause__ = errors[0]
    assert not failure_of(raising(errors[0])).cause.HasField("cause")


def test_notes() -> None:
    error = ValueError("a")
    vars(error)["__notes__"] = ["look there", 5]
    failure = failure_of(raising(error))
    assert list(failure.notes) == ["look there", "5"]
    assert "look there" in failure.stack
    vars(error)["__notes__"] = 7
    assert list(failure_of(raising(error)).notes) == []


def test_texts_that_can_not_be_made_or_sent() -> None:
    assert failure_of(raising(Silent())).message == (
        "(the text of a Silent can't be made: RuntimeError)"
    )
    assert failure_of(raising(ValueError("a\ud800b"))).message == "a\\ud800b"
    long = failure_of(raising(ValueError("a" * 100_000 + "ü" * 100_000)))
    assert len(long.message.encode()) <= 65536
    assert long.message.startswith("aaa")
    assert "\n... (cut) ...\n" in long.message
    assert long.message.endswith("ü")
    assert len(long.stack.encode()) <= 65536


def test_recursion() -> None:
    def down(n: int) -> int:
        return down(n + 1)

    failure = failure_of(lambda: down(0))
    assert failure.type == "RecursionError"
    assert "down(n + 1)" in failure.stack
    assert len(failure.stack) < 5000  # lines that repeat are told once


@pytest.mark.skipif("sys.version_info < (3, 11)", reason="groups are Python 3.11's")
def test_groups_show_what_is_in_them() -> None:
    group = getattr(builtins, "ExceptionGroup")  # noqa: B009
    failure = failure_of(raising(group("some", [ValueError("one"), KeyError("two")])))
    assert failure.type == "ExceptionGroup"
    assert "ValueError: one" in failure.stack
    assert "KeyError: 'two'" in failure.stack


def test_a_task_error_comes_back() -> None:
    def f() -> None:
        error = NotFound("b.txt")
        vars(error)["__notes__"] = ["in the cache"]
        raise error from KeyError("a")

    error = _failure.to_exception(failure_of(f), "other")
    assert type(error) is procpool.TaskError
    assert str(error) == "task 'find' failed: test_failure.NotFound: b.txt"
    assert (error.task, error.type, error.message) == ("find", "test_failure.NotFound", "b.txt")
    assert (error.code, error.language) == ("not_found", "python")
    assert "raise error from" in error.stack
    assert vars(error)["__notes__"] == ["in the cache"]
    assert isinstance(error.__cause__, procpool.TaskError)
    assert error.__cause__.message == "'a'"


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        ({"kind": pb.FAILURE_KIND_UNSPECIFIED, "message": "m"}, procpool.TaskError, "failed: m"),
        ({"kind": pb.FAILURE_KIND_PANIC, "message": "m"}, procpool.PanicError, "failed: m"),
        ({"kind": pb.FAILURE_KIND_EXIT, "message": "m"}, procpool.PanicError, "failed: m"),
        ({"kind": 99, "message": "m"}, procpool.TaskError, "failed: m"),
        (
            {
                "kind": pb.FAILURE_KIND_CODEC,
                "op": "encode the result",
                "codec": "cbor",
                "message": "m",
            },
            procpool.CodecError,
            "can't encode the result of task 'find' with codec 'cbor': m",
        ),
        ({"kind": pb.FAILURE_KIND_TOO_LARGE, "message": "m"}, procpool.TooLargeError, "m"),
        ({"kind": pb.FAILURE_KIND_UNKNOWN_TASK, "message": "m"}, procpool.UnknownTaskError, "m"),
        (
            {"kind": pb.FAILURE_KIND_TIMEOUT, "limit_nanos": 1500000000},
            procpool.TimeoutError,
            "1.5s",
        ),
        ({"kind": pb.FAILURE_KIND_CANCELLED, "message": "m"}, procpool.CancelledError, "m"),
        ({"kind": pb.FAILURE_KIND_DEADLINE}, procpool.DeadlineError, "the call of task 'find'"),
        ({"kind": pb.FAILURE_KIND_CLOSED, "message": "m"}, procpool.ClosedError, "m"),
        ({"kind": pb.FAILURE_KIND_QUEUE_FULL, "message": "m"}, procpool.QueueFullError, "m"),
        ({"kind": pb.FAILURE_KIND_START, "message": "m"}, procpool.StartError, "worker: m"),
        ({"kind": pb.FAILURE_KIND_NESTING_LIMIT, "message": "m"}, procpool.NestingLimitError, "m"),
    ],
)
def test_families(failure: dict[str, Any], kind: type[procpool.Error], text: str) -> None:
    error = _failure.to_exception(pb.Failure(**failure), "find")
    assert type(error) is kind
    assert error.task == "find"
    assert str(error).endswith(text) or text in str(error)
    assert isinstance(error, procpool.Error)


def test_time_is_the_builtin_timeout_as_well() -> None:
    for kind in (pb.FAILURE_KIND_TIMEOUT, pb.FAILURE_KIND_DEADLINE):
        error = _failure.to_exception(pb.Failure(kind=kind), "find")
        assert isinstance(error, builtins.TimeoutError)


def test_a_crash() -> None:
    crash = pb.Crash(
        worker=3,
        pid=4711,
        exit_code=-1,
        signal="SIGSEGV",
        reason="signal: segmentation fault",
        oom=1,
        stderr="tail",
        attempt=2,
    )
    failure = pb.Failure(kind=pb.FAILURE_KIND_CRASH, task="find", crash=crash)
    error = _failure.to_exception(failure, "x")
    assert isinstance(error, procpool.CrashError)
    assert str(error) == "worker 4711 died running 'find': signal: segmentation fault"
    assert (error.pid, error.worker, error.exit_code) == (4711, 3, -1)
    assert (error.signal, error.out_of_memory) == ("SIGSEGV", "likely")
    assert (error.stderr, error.attempt, error.finished) == ("tail", 2, False)


def test_a_failed_start_has_its_output() -> None:
    failure = pb.Failure(kind=pb.FAILURE_KIND_START, message="no", stack="printed")
    error = _failure.to_exception(failure, "x")
    assert isinstance(error, procpool.StartError)
    assert error.output == "printed"
