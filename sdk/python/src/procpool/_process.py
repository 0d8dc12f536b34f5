"""The process of a worker: its environment, descriptors and signals, and how it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COOKIE = ("PROCPOOL_PLUGIN_COOKIE", "procpool-worker")
_KEPT = "PROCPOOL_DEPTH"  # what a pool that is made in this process counts from


class Launch(NamedTuple):
    """What the host has put into the environment of this process."""

    directory: str
    recorder: str
    mutual_tls: bool


def take_environment() -> Launch | None:
    """Return what the host has said, None in a process that no host has started.

    It is for this process alone and goes out of the environment: the children of tasks,
    and pools that they make, would take it for theirs.
    """
    name, value = _COOKIE
    if os.environ.get(name) != value:
        return None
    launch = Launch(
        directory=os.environ.get("PLUGIN_UNIX_SOCKET_DIR", ""),
        recorder=os.environ.get("PROCPOOL_RECORDER", ""),
        mutual_tls="PLUGIN_CLIENT_CERT" in os.environ,
    )
    for key in list(os.environ):
        if key.startswith(("PLUGIN_", "PROCPOOL_")) and key != _KEPT:
            del os.environ[key]
    return launch


def take_stdin() -> int:
    """Take standard input, whose end is the host's, away from the user's code.

    Returns the descriptor that it is at now; the null device is at its old place.
    """
    import fcntl

    taken = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return taken


def await_end(descriptor: int) -> None:
    """Block until standard input, of which the descriptor was taken, has ended."""
    try:
        while os.read(descriptor, 64):
            pass
    except OSError:
        pass  # as good as its end


def prepare_signals() -> None:
    """Leave Ctrl-C to the host, and have a fault print where it was."""
    import faulthandler
    import signal

    # A handler and not SIG_IGN, which children would inherit.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    if not faulthandler.is_enabled():
        with contextlib.suppress(OSError):
            faulthandler.enable(2)


def prepare_output() -> None:
    """Have what is printed leave line by line, as it would in a terminal."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)


def say_handshake(socket_path: str) -> None:
    """Tell the host where to connect. What listens there must be listening."""
    flush_output()
    # The first newline ends a line that a library may have begun.
    line = f"\n1|1|unix|{socket_path}|grpc\n".encode()
    while line:
        line = line[os.write(1, line) :]


def flush_output() -> None:
    """Write out what was printed."""
    for stream in (sys.stdout, sys.stderr):
        # There may be none, or one of the user's making, or nobody may read it.
        with contextlib.suppress(Exception):
            stream.flush()


def end(run_exit_functions: bool) -> NoReturn:
    """End the process with 0, whatever threads and children of the user's there are."""
    if run_exit_functions:
        import atexit

        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()  # what Py_Finalize does, without waiting for threads
    flush_output()
    os._exit(0)


def fail(message: str) -> NoReturn:
    """End the process because of an error that no call can be told of."""
    with contextlib.suppress(Exception):
        sys.stderr.write(message.rstrip("\n") + "\n")
    flush_output()
    os._exit(1)


def guard(what: str, run: Callable[[], None]) -> Callable[[], None]:
    """Return run for a thread that the worker can't do without: its failure ends the process."""

    def guarded() -> None:
        try:
            run()
        except BaseException:
            import traceback

            fail(f"procpool: {what} has failed\n{traceback.format_exc()}")

    return guarded


@contextlib.contextmanager
def variable_set(name: str, value: str) -> Iterator[None]:
    """Have a variable in the environment for a while, unless it is there already."""
    missing = name not in os.environ
    if missing:
        os.environ[name] = value
    try:
        yield
    finally:
        if missing:
            del os.environ[name]


def in_forked_children(do: Callable[[], None]) -> None:
    """Have do called in each process that is forked from this one and not replaced."""
    os.register_at_fork(after_in_child=do)
