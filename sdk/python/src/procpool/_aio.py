"""Calls whose functions are coroutines: one event loop, in the main thread, kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ._runtime import Cancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from ._call import Call
    from ._streams import Port


class AsyncWake:
    """What a coroutine waits for and other threads set. What was set before counts, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def set(self) -> None:
        """Have the wait that runs, or the next one, return. Does not block."""
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()
        self._event.clear()


class Loop:
    """The event loop of this process. It runs while a call does that has a coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def wake(self) -> AsyncWake:
        """Return something to wait for."""
        return AsyncWake(self._loop)

    def run(self, call: Call, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a call's coroutine to its end, and cancel what it has left behind.

        A call that is given up has its coroutine cancelled, in asyncio's way.
        """
        before = asyncio.all_tasks(self._loop)  # of an initializer
        task = self._loop.create_task(work)
        # Set first: who gives the call up looks at it last.
        call.on_cancel = lambda: self._loop.call_soon_threadsafe(task.cancel)
        if call.cancelled:
            task.cancel()
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError as error:
            if call.cancelled:
                raise Cancelled from error
            raise
        finally:
            if task.done() and not task.cancelled():
                task.exception()  # or asyncio says that nobody has asked for it
            self._cancel(asyncio.all_tasks(self._loop) - before)

    def run_hook(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run an initializer or a finalizer. The tasks that it leaves go on with later calls."""
        self._loop.run_until_complete(work)

    def _cancel(self, left: set[asyncio.Task[Any]]) -> None:
        if not left:
            return
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


class AsyncReceived:
    """The asynchronous iterator over the values that a session receives."""

    def __init__(self, port: Port[AsyncWake]) -> None:
        self._port = port

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        port = self._port
        call = port.call
        while not call.cancelled and not call.over:
            # In this order: the end comes behind the values.
            over = port.input_over
            if (encoded := port.take()) is not None:
                return call.task.decode_received(call.codec, encoded)
            if over:
                raise StopAsyncIteration
            port.flush()
            with call.waiting():
                await port.ready.wait()
        raise asyncio.CancelledError


async def stream(call: Call, port: Port[AsyncWake], argument: Any, takes_input: bool) -> None:
    """Run a stream or a session whose function is an async generator function."""
    task = call.task
    arguments = (argument, AsyncReceived(port)) if takes_input else (argument,)
    values = task.function(*arguments)
    step: Any = values.__anext__
    with_what: tuple[Any, ...] = ()
    try:
        while True:
            try:
                value = await step(*with_what)
            except StopAsyncIteration:
                return
            step, with_what = values.__anext__, ()
            try:
                encoded = task.encode(call.codec, value)
                while not port.may_send and not call.cancelled and not call.connection.closed:
                    port.flush()
                    with call.waiting():
                        await port.room.wait()
                port.send(encoded)
            except (Cancelled, asyncio.CancelledError, Exception) as failure:
                # It fails where it is sent, so that the task may clean up, or go on.
                cancelled = isinstance(failure, Cancelled)
                step = values.athrow
                with_what = (asyncio.CancelledError() if cancelled else failure,)
    finally:
        await values.aclose()
