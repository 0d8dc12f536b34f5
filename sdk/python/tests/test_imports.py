"""What a worker loads before its first call: cold starts pay for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from host import process_environment

import procpool

# None of these is needed by a worker whose program does not need it itself.
COSTLY = (
    *("asyncio", "base64", "dataclasses", "decimal", "inspect", "json", "numpy", "uuid"),
    *("procpool._actor", "procpool._instances", "procpool._ref"),
    *("procpool.shared", "procpool._shared_operation", "procpool._shared_queue"),
)
PROGRAM = """
import sys
before = set(sys.modules)
import procpool
from procpool import _task

@procpool.task()
def square(n: int) -> list[float]:
    return [n]

made = _task.registered()[0]
made.encode("cbor", made.function(made.decode("cbor", bytes([7]))))
print(*set(sys.modules) - before)
"""


@pytest.mark.parametrize("module", COSTLY)
def test_what_is_not_loaded(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM],
        env=process_environment(PYTHONPATH=":".join(sys.path)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "procpool._task" in done.stdout.split()
    assert module not in done.stdout.split()


def test_names_that_are_loaded_late() -> None:
    program = "import procpool; print([getattr(procpool, name) for name in procpool.__all__])"
    subprocess.run(
        [sys.executable, "-c", f"{program}; from procpool import *; print(actor, method, Ref)"],
        env=process_environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    with pytest.raises(AttributeError, match="module 'procpool' has no attribute 'actors'"):
        _ = procpool.actors  # type: ignore[attr-defined]
