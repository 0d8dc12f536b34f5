"""Operations on shared state, which a running call makes of its host.

Of docs/protocol.md they are the section "Shared state": HostCalls of a kind of their own,
with a map for an argument and a map for an answer.

Whoever is granted something must get to know it, for as long as its call goes on it is
taken from everybody else. So an operation that is left by an exception, whichever and
wherever, is given up, and what it was granted in that very moment is given back; and
between here and the code that has asked for it nothing is raised (see _cancel.py).
"""

from __future__ import annotations

import builtins
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _cancel, _codec
from ._errors import Error, TaskError
from ._future import Future
from ._runtime import HostRequest, current_call
from ._shape import Shape

if TYPE_CHECKING:
    from types import TracebackType

    from ._runtime import RunningCall

_cancel.keeps_out.add(__name__)

_ANYTHING = Shape(Any)
_NAME_BYTES = 1024
_MOST = 2147483647


class WouldBlockError(Error):
    """There is no room in the queue, and the operation was not to wait for some."""


class QueueClosedError(Error):
    """The queue takes no more items, or has no more."""


class MismatchError(Error):
    """The name means another kind of object in this pool, or one of another size."""


class NotHeldError(Error):
    """The item is not the caller's any more: it was done or given back before."""


class LimitError(Error):
    """The pool has too many objects or items that tasks have put, or the call holds too much."""


_BY_CODE = {
    "shared_would_block": WouldBlockError,
    "shared_queue_closed": QueueClosedError,
    "shared_mismatch": MismatchError,
    "shared_not_held": NotHeldError,
    "shared_limit": LimitError,
}


def check_name(name: object) -> None:
    """Raise ValueError unless an object may be called that."""
    try:
        if isinstance(name, str) and 1 <= len(name.encode()) <= _NAME_BYTES:
            return
    except UnicodeEncodeError:
        pass
    raise ValueError(
        f"procpool: {name!r} can't be the name of an object: it is a text of 1 to {_NAME_BYTES} "
        "bytes in UTF-8"
    )


def check_number(name: str, what: str, number: object, most: int = _MOST) -> None:
    """Raise ValueError unless the number of something of that object makes sense."""
    if not isinstance(number, int) or not 1 <= number <= most:
        raise ValueError(f"procpool: {number!r} {what} of {name!r}: it is from 1 to {most}")


class Granted:
    """What the host has granted a call, for as long as the call has it.

    most is for how many items it was asked where these go by as many tickets, of which this
    is the first.
    """

    def __init__(self, call: RunningCall, back: str, name: str, ticket: int, most: int = 0) -> None:
        self.call, self.name, self.ticket = call, name, ticket
        self._back, self._most = back, most
        self.shield = call.shield
        self._had = [True]  # who takes it out gives it back

    @property
    def over(self) -> bool:
        """Whether it was given back."""
        return not self._had

    def part(self, index: int) -> Granted:
        """Return what goes by another of its tickets."""
        return Granted(self.call, self._back, self.name, self.ticket + index)

    def forget(self) -> None:
        """Take note that the host has it back."""
        self._had.clear()

    def give_back(self, unseen: bool = False) -> None:
        """Give it back, unless that was done. Does not block.

        Behind the end of the call, which gives back what there is, it does nothing.
        """
        with self.shield:
            try:
                self._had.pop()
            except IndexError:
                return
            arguments: dict[str, Any] = {"name": self.name, "ticket": self.ticket}
            if unseen:
                arguments["unseen"] = True
            if self._most:
                arguments["most"] = self._most
            self.call.tell_host(_request(self._back, arguments))


class Answer(NamedTuple):
    """What an operation has given."""

    reply: dict[str, Any]
    granted: Granted | None


class Operation:
    """One operation, to be made once."""

    def __init__(self, name: str, arguments: dict[str, Any], failed: str, back: str = "") -> None:
        """Take its name and its arguments.

        failed is what was not done if it fails, such as "mutex 'guard' was not locked"; back
        is the operation that gives back what this one grants.
        """
        self.name, self.failed = name, failed
        self._arguments, self._back = arguments, back

    def perform(self, timeout: float | None = None) -> Answer:
        """Make it and wait for its outcome, so many seconds at most."""
        attempt = _Attempt(self, timeout)
        with attempt as future:
            return attempt.answer(future.result(timeout))

    async def perform_async(self, timeout: float | None = None) -> Answer:
        """Make it and await its outcome, so many seconds at most."""
        attempt = _Attempt(self, timeout)
        with attempt as future:
            if timeout is None:
                return attempt.answer(await future)
            import asyncio

            try:
                return attempt.answer(await asyncio.wait_for(future, timeout))
            except Error:
                raise
            except asyncio.TimeoutError:  # another one than the builtin before Python 3.11
                raise builtins.TimeoutError from None

    def start(self, call: RunningCall, ticket: int) -> Future[dict[str, Any]]:
        """Make it for a call."""
        arguments = {**self._arguments, "ticket": ticket} if ticket else self._arguments
        return Future(call, _request(self.name, arguments), _ANYTHING)

    def granted(self, call: RunningCall) -> Granted | None:
        """Return what a call is granted if it makes it, None if nothing is to be given back."""
        if not self._back:
            return None
        ticket = int.from_bytes(os.urandom(8), "little") >> 1 or 1
        most = self._arguments.get("most", 0)
        return Granted(call, self._back, self._arguments["name"], ticket, most)

    def explain(self, error: Error) -> Error:
        """Return the error with which it fails, said such that users understand it."""
        if not isinstance(error, TaskError):
            error.args = (f"{self.failed}: {error}",)
            return error
        if error.code in _BY_CODE:
            return _BY_CODE[error.code](error.message, self.name)
        error.args = (error.message,)
        return error


class _Attempt:
    """An operation under way: who leaves the with block by an exception gives it up."""

    def __init__(self, operation: Operation, timeout: float | None) -> None:
        if timeout is not None and timeout <= 0:
            raise ValueError(
                f"procpool: timeout={timeout}: an operation takes time; what begins with try_ "
                "does not wait"
            )
        call = current_call.get()
        if call is None:
            raise RuntimeError(
                f"procpool: {operation.failed}: only a running task can use shared state; there "
                "is none here"
            )
        self._operation, self._timeout, self._call = operation, timeout, call
        self._shield = call.shield
        self._granted = operation.granted(call)
        self._future: Future[dict[str, Any]] | None = None

    def answer(self, reply: dict[str, Any]) -> Answer:
        """Return what it has given; to be returned from within the block."""
        answer = Answer(reply, self._granted)
        if self._granted is not None:
            self._shield.hand_over()
        return answer

    def __enter__(self) -> Future[dict[str, Any]]:
        try:
            with self._shield:
                granted = self._granted
                self._future = self._operation.start(self._call, granted.ticket if granted else 0)
        except BaseException:
            self._give_up()
            raise
        return self._future

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        if isinstance(error, Error):  # the host's, who has granted nothing
            raise self._operation.explain(error) from error.__cause__
        self._give_up()
        if isinstance(error, builtins.TimeoutError):
            failed, timeout = self._operation.failed, self._timeout
            raise builtins.TimeoutError(f"{failed} within {timeout:g}s") from None

    def _give_up(self) -> None:
        with self._shield:
            if self._future is None:
                return
            self._future.cancel()
            if self._granted is not None:
                self._granted.give_back(unseen=True)


def _request(name: str, arguments: dict[str, Any]) -> HostRequest:
    encoded = _codec.encode("cbor", arguments, _ANYTHING, "encode the arguments")
    return HostRequest(name, "cbor", encoded, "shared")
