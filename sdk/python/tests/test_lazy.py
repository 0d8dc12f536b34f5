from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from host import process_environment

# Older versions of grpcio do use the others when they are imported.
PUT_OFF = ("asyncio", "grpc.aio", "socket")
BEGIN = f"""
import sys
from procpool import _direct, _lazy
assert _direct.FITS
loaded = sys.modules.keys() & set({PUT_OFF})
assert not loaded, loaded
"""


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio; assert asyncio.run(asyncio.sleep(0, 5)) == 5",
        "from asyncio import sleep, run; assert run(sleep(0, 5)) == 5",
        "import asyncio.subprocess as s; assert s.PIPE == -1; import asyncio; asyncio.Event",
        # There is one of each, also where a part of it is what is imported first.
        """
        from asyncio.exceptions import CancelledError
        import asyncio
        assert asyncio.CancelledError is CancelledError
        """,
        "import grpc.aio; assert grpc.aio.server; assert type(grpc.aio) is type(grpc)",
        "import grpc; assert grpc.aio.server; assert type(grpc.aio) is type(grpc)",
        "from grpc import aio; assert aio.Channel",
        "from grpc.aio import insecure_channel",
        # grpcio itself.
        """
        import asyncio
        from grpc._cython import cygrpc
        assert cygrpc.asyncio.run is asyncio.run
        """,
        """
        import threading
        from grpc._cython import cygrpc
        seen = []
        use = lambda: seen.append(cygrpc.asyncio.run)
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(set(seen)) == 1 and len(seen) == 8
        """,
        # What looks at all modules there are.
        "import inspect; inspect.getmodule(inspect.stack()[0][0])",
        "import grpc; grpc.insecure_channel('unix:/nowhere').close()",
        # Where a stand-in is used before the block ends, and what is there already.
        """
        with _lazy.put_off("sys", "asyncio"):
            import asyncio as stand_in
            assert sys.modules["sys"] is sys
            stand_in.run
            import asyncio
        assert sys.modules["asyncio"] is asyncio is not stand_in
        assert stand_in.run is asyncio.run
        """,
        """
        try:
            with _lazy.put_off("nothing.of.the.kind"):
                import nothing.of.the.kind
        except ModuleNotFoundError:
            pass
        assert "nothing.of.the.kind" not in sys.modules
        """,
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
