"""serve(): the life of a worker process."""

from __future__ import annotations

import os
import sys
import traceback
from threading import Lock, Thread
from time import sleep
from typing import TYPE_CHECKING, NoReturn

from . import _process, _task
from ._process import fail, guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._aio import Loop
    from ._connection import Connection
    from ._task import Hook, Task
    from ._transport import Transport

_SOCKET_PATH = 103  # bytes that a socket's path may have
# How many seconds a worker that is to leave has, with a call that it runs and without: a
# host kills an idle one after two.
_GRACE_BUSY, _GRACE_IDLE = 0.5, 1.5

_launch = _process.take_environment()


def serve(tasks: Iterable[Callable[..., object]] | None = None) -> NoReturn:
    """Serve tasks to the host that has started this process, until the host is gone.

    Serves all decorated functions and classes, or the given ones. To be called in the main
    thread, at the end of the program: it does not return but ends the process. Standard input
    is the host's from here on, and empty for everybody else.
    """
    launch = _launch
    if launch is None:
        if "__mp_main__" in sys.modules:
            sys.exit(
                "procpool: multiprocessing runs this program again in a child process, where "
                'procpool.serve() is not to be called: put it under if __name__ == "__main__":'
            )
        sys.exit(
            "This program is a procpool worker: a pool of a Go program starts it, it does "
            "nothing when it is run by hand."
        )
    if launch.mutual_tls:
        sys.exit(
            "procpool: the host asks for mutual TLS (Config.AutoMTLS), which workers in Python "
            "do not have: turn it off, the socket lies in a private directory"
        )
    if tasks is None:
        served = _task.registered()
        if (actors := sys.modules.get("procpool._actor")) is not None:
            sys.stderr.write("".join(f"{sentence}\n" for sentence in actors.loose()))
    else:
        served = [_task.of(function) for function in tasks]
        for task in served:
            _ = task.input_shape  # reads the hints, and raises where they can't be a task's
    _Worker(served, launch).run()


class _Worker:
    def __init__(self, tasks: list[Task], launch: _process.Launch) -> None:
        from ._cancel import Interrupter
        from ._connection import Connection
        from ._lane import Lane
        from ._timer import Timer

        self._launch = launch
        self._lane = Lane(tasks, self._event_loop)
        self._loop: Loop | None = None
        timer = Timer(guard)
        interrupter = Interrupter(timer)
        self._connection = Connection(
            tasks, self._lane, interrupter, timer, launch.recorder, self._start_leaving
        )
        self._leaving = Lock()
        _process.in_forked_children(self._lane.forked)
        _process.in_forked_children(self._connection.forked)

    def run(self) -> NoReturn:
        """Live."""
        stdin = _process.take_stdin()
        _process.prepare_signals()
        _process.prepare_output()
        self._in_thread("stdin", lambda: self._await_end(stdin))
        self._run_hooks(_task.initializers, "initializer")
        path = os.path.join(self._launch.directory, "w")
        if len(os.fsencode(path)) > _SOCKET_PATH:
            fail(f"procpool: the socket's path {path} is too long")
        transport = _listen(path, self._connection)
        self._connection.serve(transport, path)
        _process.say_handshake(path)
        self._lane.run()
        self._run_hooks(_task.finalizers, "finalizer")
        _process.end(run_exit_functions=True)

    def _await_end(self, stdin: int) -> None:
        _process.await_end(stdin)
        self._start_leaving()

    def _start_leaving(self) -> None:
        """Begin to leave, unless that has begun. Does not block."""
        if self._leaving.acquire(blocking=False):
            self._in_thread("leave", self._leave)

    def _leave(self) -> None:
        """Have the main thread end the process, and do so if it does not."""
        self._lane.leave()
        self._connection.end()
        if (call := self._lane.current) is not None:
            call.cancel()
        sleep(_GRACE_IDLE if call is None else _GRACE_BUSY)
        os._exit(0)

    def _run_hooks(self, hooks: list[Hook], what: str) -> None:
        for hook in hooks:
            try:
                if hook.is_async:
                    self._event_loop().run_hook(hook.function())
                else:
                    hook.function()
            except BaseException:
                name = getattr(hook.function, "__name__", repr(hook.function))
                fail(f"procpool: the {what} {name!r} has failed\n{traceback.format_exc()}")

    def _event_loop(self) -> Loop:
        if self._loop is None:
            from ._aio import Loop

            self._loop = Loop()
        return self._loop

    @staticmethod
    def _in_thread(name: str, run: Callable[[], None]) -> None:
        name = f"procpool-{name}"
        Thread(target=guard(f"the thread {name}", run), name=name, daemon=True).start()


def _listen(path: str, connection: Connection) -> Transport:
    # What gRPC does at a fork is for children that use it, which these are not to, and it
    # complains when it can't.
    with _process.variable_set("GRPC_ENABLE_FORK_SUPPORT", "0"):
        return _make_transport(path, connection)


def _make_transport(path: str, connection: Connection) -> Transport:
    from . import _direct, _transport

    if _direct.FITS:
        try:
            return _direct.DirectTransport(path, connection)
        except (AttributeError, TypeError):
            pass  # a grpcio whose inside is another one
    return _transport.PublicTransport(path, connection)
