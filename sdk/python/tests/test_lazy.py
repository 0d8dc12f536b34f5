from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from host import process_environment

BEGIN = """
import sys
from procpool import _lazy
_lazy.put_off_asyncio()
from grpc._cython import cygrpc
def is_loaded(name):
    return type(sys.modules[name]) is type(sys)
assert not is_loaded("asyncio") and not is_loaded("grpc.aio")
"""


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio; assert asyncio.run(asyncio.sleep(0, 5)) == 5",
        "from asyncio import sleep, run; assert run(sleep(0, 5)) == 5",
        "from asyncio.events import new_event_loop; new_event_loop().close()",
        "import asyncio.subprocess as s; assert s.PIPE == -1; import asyncio; asyncio.Event",
        "import grpc.aio; assert grpc.aio.server; assert is_loaded('grpc.aio')",
        "from grpc import aio; assert aio.Channel",
        "from grpc.aio import insecure_channel",
        """
        import threading
        import asyncio
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(asyncio.run)) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(set(seen)) == 1 and len(seen) == 8
        """,
        # What looks at all modules there are.
        "import inspect; inspect.getmodule(inspect.stack()[0][0])",
        "import grpc; grpc.insecure_channel('unix:/nowhere').close()",
        "_lazy.put_off('asyncio'); _lazy.put_off('nothing.of.the.kind'); _lazy.put_off('nothing')",
    ],
)
def test_what_was_put_off_is_there_when_it_is_used(source: str) -> None:
    program = BEGIN + textwrap.dedent(source)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
