"""A host in Python: starts real worker processes and talks to them as the Go host does.

It holds the worker to the contract: what a host would kill a worker for ends the test.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from contract import Ledger, Violation
from google.protobuf.message import Message
from page import Page

import procpool
from procpool._gen import worker_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DEADLINE = 60.0  # for what takes milliseconds on an idle machine
CAPABILITIES = (
    *("recorder", "fence", "journal", "pack", "stream", "session", "actor"),
    *("host_call", "shared_state", "progress", "log"),
)
_SERVICE = "/procpool.worker.v1.WorkerService/"
_HANDSHAKE = re.compile(rb"1\|1\|unix\|([^|]*)\|grpc$")
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
E = TypeVar("E", bound=Message)


class StartFailure(Exception):
    """The program ended, or said something else, before its handshake."""


def process_environment(**extra: str) -> dict[str, str]:
    """Return an environment in which a program finds this package."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PLUGIN_", "PROCPOOL_"))
    }
    environment["PYTHONPATH"] = str(Path(procpool.__file__).parents[1])
    return {**environment, **extra}


class Worker:
    """A worker process, and the host's end of its connection.

    The constructor starts the program and waits for its handshake; hello() makes it a
    worker that takes calls. close() ends it and checks that nothing is left.
    """

    def __init__(
        self,
        program: str | Path | list[str],
        *,
        lanes: int = 1,
        recorder: bool = True,
        max_payload: int = 256 << 20,
        env: dict[str, str] | None = None,
    ) -> None:
        command = program if isinstance(program, list) else [sys.executable, str(program)]
        self.lanes, self.max_payload = lanes, max_payload
        self.directory = Path(tempfile.mkdtemp(prefix="procpool-"))
        self.page = Page(lanes, self.directory) if recorder else None
        self.ledger = Ledger(max_payload)
        self.lines: list[bytes] = []  # of standard output, but for the handshake
        self.stderr = b""
        # What takes events in place of wait, as they come, if it says so.
        self.take_event: Callable[[Message], bool] | None = None
        self.response = worker_pb2.HelloResponse()
        self._events: list[Message] = []
        self._pongs: list[worker_pb2.Pong] = []
        self._news = threading.Condition()
        self._violation: Exception | None = None
        self._ended = False
        self._handshake: bytes | None = None
        self._open_outputs = 2
        self._work: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._control: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._channel: grpc.Channel | None = None
        self._next_seq: dict[int, int] = {}
        environment = process_environment(
            PROCPOOL_PLUGIN_COOKIE="procpool-worker",
            PLUGIN_UNIX_SOCKET_DIR=str(self.directory),
            PLUGIN_PROTOCOL_VERSIONS="1",
            PLUGIN_MIN_PORT="10000",
            PLUGIN_MAX_PORT="25000",
            PROCPOOL_DEPTH="1",
        )
        if self.page:
            environment["PROCPOOL_RECORDER"] = self.page.path
        environment.update(env or {})
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._spawn(self._read_output, "stdout")
        self._spawn(self._read_errors, "stderr")
        try:
            self._wait(lambda: self._handshake is not None or not self._open_outputs, "handshake")
            if self._handshake is None:
                self.process.wait(DEADLINE)
                raise StartFailure(
                    f"exit status {self.process.returncode}\n"
                    + (b"\n".join(self.lines) + b"\n" + self.stderr).decode(errors="replace")
                )
        except BaseException:
            self.close()
            raise

    # --- the start

    def hello(
        self,
        *,
        capabilities: Iterable[str] = CAPABILITIES,
        log_level: worker_pb2.LogLevel = worker_pb2.LOG_LEVEL_DEBUG,
        streams: bool = True,
    ) -> worker_pb2.HelloResponse:
        """Connect, say Hello, and open the two streams."""
        assert self._handshake is not None
        path = self._handshake.decode()
        assert len(self._handshake) <= 103, path
        assert Path(path).parent == self.directory, path
        assert stat.S_ISSOCK(os.stat(path).st_mode), path
        self._channel = grpc.insecure_channel("unix:" + path, options=_OPTIONS)
        request = worker_pb2.HelloRequest(
            revision=1,
            capabilities=capabilities,
            lanes=self.lanes,
            max_payload_bytes=self.max_payload,
            recorder=self.page is not None,
            log_level=log_level,
        )
        call = self._channel.unary_unary(_SERVICE + "Hello")
        data = call(request.SerializeToString(), timeout=DEADLINE, wait_for_ready=True)
        assert len(data) <= 1 << 20
        self.response = worker_pb2.HelloResponse.FromString(data)
        assert self.response.revision == 1
        assert 1 <= self.response.lanes <= self.lanes
        names = [task.name for task in self.response.tasks]
        assert len(set(names)) == len(names)
        assert all(names)
        if streams:
            self.open_streams()
        return self.response

    def open_streams(self) -> None:
        """Open Work and Control, and have what comes there read."""
        assert self._channel is not None
        for name, outgoing, take in (
            ("Work", self._work, self._take_work),
            ("Control", self._control, self._take_control),
        ):
            stream = self._channel.stream_stream(_SERVICE + name)
            responses = stream(iter(outgoing.get, None))
            self._spawn(self._receive, name, responses, take)

    def function(self, name: str) -> int:
        """Return a task's number."""
        return [task.name for task in self.response.tasks].index(name)

    # --- what the host says

    def send(self, request: worker_pb2.WorkRequest) -> None:
        """Send a WorkRequest as it is."""
        with self._news:
            self.ledger.sent(request)
        self._work.put(request.SerializeToString())

    def seq(self, lane: int = 0, count: int = 1) -> int:
        """Return the next number of a lane; and leave out count of them."""
        first = self._next_seq.get(lane, 1)
        self._next_seq[lane] = first + count
        return first

    def task(self, name: str | int, argument: bytes = b"", **fields: Any) -> worker_pb2.Task:
        """Make a Task; fields are those of the message."""
        lane = fields.get("lane", 0)
        count = max(1, len(fields.get("item_sizes", ())))
        fields.setdefault("seq", self.seq(lane, count))
        function = self.function(name) if isinstance(name, str) else name
        return worker_pb2.Task(function=function, inline=argument, **fields)

    def start(self, name: str | int, argument: bytes = b"", **fields: Any) -> int:
        """Send one call; return its number."""
        task = self.task(name, argument, **fields)
        self.send(worker_pb2.WorkRequest(tasks=[task]))
        return task.seq

    def call(self, name: str | int, argument: bytes = b"", **fields: Any) -> worker_pb2.Outcome:
        """Send one call and wait for its outcome."""
        return self.outcome(self.start(name, argument, **fields), fields.get("lane", 0))

    def cancel(self, seq: int, lane: int = 0) -> None:
        """Send a Cancel."""
        with self._news:
            self.ledger.cancelled(lane, seq)
        event = worker_pb2.ControlRequest(cancel=worker_pb2.Cancel(lane=lane, seq=seq))
        self._control.put(event.SerializeToString())

    def fence(self, seq: int, lane: int = 0) -> int:
        """Take back what lies beyond seq; return the last call that may run all the same."""
        assert self.page is not None
        with self._news:
            self.ledger.fenced(lane, seq)
        return self.page.take_back(seq, lane)

    def ping(self, number: int) -> worker_pb2.Pong:
        """Send a Ping and wait for its Pong."""
        event = worker_pb2.ControlRequest(ping=worker_pb2.Ping(id=number))
        self._control.put(event.SerializeToString())
        self._wait(lambda: any(p.id == number for p in self._pongs), f"Pong {number}")
        return next(p for p in self._pongs if p.id == number)

    # --- what the worker says

    def wait(self, kind: type[E], test: Callable[[E], bool] = lambda _: True) -> E:
        """Wait for an event of a kind that was not taken yet, and take it."""

        def find() -> E | None:
            for event in self._events:
                if isinstance(event, kind) and test(event):
                    return event
            return None

        self._wait(lambda: find() is not None, f"a {kind.__name__}")
        with self._news:
            found = find()
            assert found is not None
            self._events.remove(found)
            return found

    def outcome(self, seq: int, lane: int = 0) -> worker_pb2.Outcome:
        """Wait for the outcome of a call."""
        return self.wait(worker_pb2.Outcome, lambda o: o.seq == seq and o.lane == lane)

    def taken(self, kind: type[E]) -> list[E]:
        """Take all events of a kind that have come."""
        with self._news:
            found = [event for event in self._events if isinstance(event, kind)]
            self._events = [event for event in self._events if not isinstance(event, kind)]
            return found

    def order(self) -> list[Message]:
        """Return what has come and was not taken, in its order."""
        with self._news:
            return list(self._events)

    def wait_line(self, line: bytes) -> None:
        """Wait until the worker has printed the line."""
        self._wait(lambda: line in self.lines, f"the line {line!r}")

    def violation(self) -> Exception:
        """Wait for the worker to break the contract, and forgive it."""
        with self._news:
            assert self._news.wait_for(lambda: self._violation is not None, timeout=DEADLINE)
            found, self._violation = self._violation, None
            assert found is not None
            return found

    # --- the end

    def leave(self) -> int:
        """End standard input; return the exit status (negative for a signal)."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.wait_death()

    def kill(self) -> None:
        """Kill the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait_death(self) -> int:
        """Wait for the process's end; return its exit status (negative for a signal).

        What it had sent has been received then, and its output read.
        """
        status = self.process.wait(DEADLINE)
        self._wait(lambda: self._ended or self._channel is None, "the end of the connection")
        self._wait(lambda: not self._open_outputs, "the end of the output")
        return status

    def close(self) -> None:
        """Kill what still runs, check that nothing is left, and that no contract was broken."""
        alive = self.process.poll() is None
        self.kill()
        self.process.wait(DEADLINE)
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        self._work.put(None)
        self._control.put(None)
        if self._channel is not None:
            self._channel.close()
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), f"the thread {thread.name} does not end"
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        if self.page:
            self.page.close()
        shutil.rmtree(self.directory)
        wait_for(lambda: not _group(self.process.pid), "the end of the worker's process group")
        if self._violation is not None:
            raise self._violation
        if not alive and self.process.returncode not in (0, None) and self.stderr:
            sys.stderr.write(self.stderr.decode(errors="replace"))  # pytest shows it of failures

    # --- threads

    def _spawn(self, target: Callable[..., None], name: str, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name=f"host {name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._news:
            if not self._news.wait_for(
                lambda: condition() or self._violation is not None, timeout=DEADLINE
            ):
                self.kill()
                raise TimeoutError(f"{what} did not come; stderr: {self.stderr.decode()}")
            if not condition() and self._violation is not None:
                raise self._violation

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = _HANDSHAKE.search(line.rstrip(b"\n"))
            with self._news:
                if found and self._handshake is None:
                    self._handshake = found.group(1)
                else:
                    self.lines.append(line.rstrip(b"\n"))
                self._news.notify_all()
        self._end_output()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        while data := os.read(self.process.stderr.fileno(), 65536):
            with self._news:
                self.stderr += data
                self._news.notify_all()
        self._end_output()

    def _end_output(self) -> None:
        with self._news:
            self._open_outputs -= 1
            self._news.notify_all()

    def _receive(self, responses: Iterator[bytes], take: Callable[[bytes], None]) -> None:
        failure: Exception | None = None
        try:
            for data in responses:
                with self._news:
                    take(data)
                    self._news.notify_all()
        except Violation as violation:
            failure = violation
            self.kill()
        except grpc.RpcError as error:
            code = error.code()
            if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                failure = Violation(f"the stream ended with {code}: {error.details()}")
        with self._news:
            self._violation = self._violation or failure
            self._ended = True
            self._news.notify_all()

    def _take_work(self, data: bytes) -> None:
        for event in self.ledger.received(data):
            if self.take_event is None or not self.take_event(event):
                self._events.append(event)

    def _take_control(self, data: bytes) -> None:
        if len(data) > 1 << 20:
            raise Violation(f"a ControlResponse of {len(data)} bytes")
        response = worker_pb2.ControlResponse.FromString(data)
        if response.HasField("pong"):
            self._pongs.append(response.pong)


def wait_for(condition: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
    """Wait until the condition holds; AssertionError when it does not come to that."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.005)


def _group(leader: int) -> list[int]:
    """Return the living processes of a process group."""
    if not os.path.isdir("/proc/self"):
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return []
        return [leader]
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                state, _, group = (
                    Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:3]
                )
                if int(group) == leader and state not in "ZX":
                    found.append(int(entry))
    return found
