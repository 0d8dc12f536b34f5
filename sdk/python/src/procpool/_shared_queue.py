"""The shared queue. See shared.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from . import _cancel, _codec, _failure
from ._errors import CodecError, Error
from ._shape import Shape
from ._shared_operation import (
    Granted,
    Operation,
    QueueClosedError,
    WouldBlockError,
    check_name,
    check_number,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from types import TracebackType

    from ._shared_operation import Answer

_cancel.keeps_out.add(__name__)

T = TypeVar("T")
_MOST_AT_ONCE = 1 << 14


class Item(Generic[T]):
    """An item that was taken out of a queue.

    A with block, or in a coroutine ``async with``, says at its end that the item is done; if
    it is left by an exception the item is given back.
    """

    def __init__(self, value: T, delivery: int, granted: Granted) -> None:
        #: What was put.
        self.value = value
        #: How often the item has been delivered, this time included: above 1 somebody had
        #: it before and did not come to its end.
        self.delivery = delivery
        self._granted = granted

    def done(self) -> None:
        """Say that the item is done and need not come back.

        Waits for the host's answer and for nothing else. NotHeldError says that it was done
        or given back before.
        """
        self._done().perform()
        self._granted.forget()

    async def done_async(self) -> None:
        """As done."""
        await self._done().perform_async()
        self._granted.forget()

    def give_back(self) -> None:
        """Put the item back to the front of the queue.

        If this was its last delivery it goes among the dead letters. Does not block; does
        nothing when it is done or was given back before.
        """
        self._granted.give_back()

    def _done(self) -> Operation:
        granted = self._granted
        failed = f"an item of queue {granted.name!r} was not done, or nobody knows"
        return Operation("queue.done", {"name": granted.name, "ticket": granted.ticket}, failed)

    def __enter__(self) -> Item[T]:
        return self

    async def __aenter__(self) -> Item[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.give_back()
        elif not self._granted.over:
            self.done()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.give_back()
        elif not self._granted.over:
            await self.done_async()

    def __repr__(self) -> str:
        return f"<procpool item of queue {self._granted.name!r}: {self.value!r}>"


class DeadLetter(NamedTuple):
    """An item that was delivered as often as it may be and never done."""

    #: What was put; None where error is set.
    value: Any
    #: How often it was delivered.
    deliveries: int
    #: Why the item can't be decoded, if it can't.
    error: CodecError | None = None


class Info(NamedTuple):
    """What there is in a queue at a moment."""

    #: How many items wait, and how many somebody has.
    queued: int
    taken: int
    #: How many dead letters there are, and how many were dropped to make room for others.
    dead: int
    lost: int
    #: Whether the queue is closed.
    closed: bool


class Queue(Generic[T]):
    """A bounded queue of work.

    An item that was taken out is not gone before it is done: if whoever has it ends first it
    goes back. A loop over the queue gets items until it is closed and all are done:

        for item in jobs:
            with item:
                work(item.value)
    """

    @overload
    def __init__(self: Queue[Any], name: str, size: int, *, deliveries: int = ...) -> None: ...
    @overload
    def __init__(self, name: str, size: int, *, deliveries: int = ..., of: type[T]) -> None: ...
    def __init__(self, name: str, size: int, *, deliveries: int = 3, of: Any = Any) -> None:
        """Name the queue, in which so many items may wait.

        An item is delivered so many times at the most: one that was not done by then is kept
        among the dead letters. of is the type of the items, as a type hint.
        """
        check_name(name)
        check_number(name, "items", size)
        check_number(name, "deliveries", deliveries)
        self.name, self.size, self.deliveries = name, size, deliveries
        self._shape = Shape(of)

    def put(self, value: T, timeout: float | None = None) -> None:
        """Put an item into the queue, and wait while it is full, so many seconds at most.

        QueueClosedError says that the queue was closed, before or meanwhile.
        """
        self._put(value).perform(timeout)

    async def put_async(self, value: T, timeout: float | None = None) -> None:
        """As put."""
        await self._put(value).perform_async(timeout)

    def try_put(self, value: T) -> None:
        """Put an item into the queue if there is room at once, else raise WouldBlockError."""
        self._put(value, no_wait=True).perform()

    async def try_put_async(self, value: T) -> None:
        """As try_put."""
        await self._put(value, no_wait=True).perform_async()

    def put_all(self, values: Iterable[T], timeout: float | None = None) -> None:
        """Put items into the queue, all at once, next to each other and in their order.

        Waits until there is room for all, so many seconds at most; whoever puts something
        later waits behind it. More than the queue holds are an error. As with put, either
        all were put or none; it costs about as much as to put one.
        """
        if operation := self._put_all(values):
            operation.perform(timeout)

    async def put_all_async(self, values: Iterable[T], timeout: float | None = None) -> None:
        """As put_all."""
        if operation := self._put_all(values):
            await operation.perform_async(timeout)

    def get(self, timeout: float | None = None) -> Item[T]:
        """Take the first item out, and wait while there is none, so many seconds at most.

        Who asks first gets the first. Of a queue that is closed QueueClosedError is raised
        when every item is done: as long as others have some, these may come back. So call
        done before the next get.

        CodecError says that an item is not what it should be; it goes back to the queue, and
        is among the dead letters in the end.
        """
        return self._item(self._get().perform(timeout))

    async def get_async(self, timeout: float | None = None) -> Item[T]:
        """As get."""
        return self._item(await self._get().perform_async(timeout))

    def try_get(self) -> Item[T] | None:
        """Take the first item out, or return None if there is none."""
        try:
            return self._item(self._get(no_wait=True).perform())
        except WouldBlockError:
            return None

    async def try_get_async(self) -> Item[T] | None:
        """As try_get."""
        try:
            return self._item(await self._get(no_wait=True).perform_async())
        except WouldBlockError:
            return None

    def get_many(self, most: int, timeout: float | None = None) -> list[Item[T]]:
        """Take the first items out, so many at most, and at most about a MiB of them.

        Waits as get does until there is one, and not for more. Each is done or given back by
        itself, or see done_all. Those that are not what they should be go back to the queue;
        CodecError says that none is.
        """
        return self._items(self._get_many(most).perform(timeout))

    async def get_many_async(self, most: int, timeout: float | None = None) -> list[Item[T]]:
        """As get_many."""
        return self._items(await self._get_many(most).perform_async(timeout))

    def done_all(self, items: Sequence[Item[T]]) -> None:
        """Say of items of this queue that they are done, all at once.

        Waits for the host's answer and for nothing else. NotHeldError says that one of them
        was done or given back before; then none is done.
        """
        if items:
            self._done_all(items).perform()
        for item in items:
            item._granted.forget()

    async def done_all_async(self, items: Sequence[Item[T]]) -> None:
        """As done_all."""
        if items:
            await self._done_all(items).perform_async()
        for item in items:
            item._granted.forget()

    def __iter__(self) -> Iterator[Item[T]]:
        while True:
            try:
                item = self.get()
            except QueueClosedError:
                return
            yield item
            del item  # or one that nobody has any more is kept while the next is waited for

    async def __aiter__(self) -> AsyncIterator[Item[T]]:
        while True:
            try:
                item = await self.get_async()
            except QueueClosedError:
                return
            yield item
            del item

    def join(self, timeout: float | None = None) -> None:
        """Wait until every item that was put is done or a dead letter."""
        self._join().perform(timeout)

    async def join_async(self, timeout: float | None = None) -> None:
        """As join."""
        await self._join().perform_async(timeout)

    def close(self) -> None:
        """Say that no more items will be put: put fails from now on, also where it waits.

        Items that are there are still got.
        """
        self._close().perform()

    async def close_async(self) -> None:
        """As close."""
        await self._close().perform_async()

    def dead_letters(self) -> list[DeadLetter]:
        """Take out the items that were delivered as often as they may be, the oldest first.

        At least 1000 are kept, and as many as the queue holds items; beyond that the oldest
        make room, which info counts.
        """
        letters: list[DeadLetter] = []
        more = True
        while more:
            try:
                answer = self._dead().perform()
            except Error:
                if letters:  # which are out; the next time it fails again
                    break
                raise
            more = self._add_letters(letters, answer)
        return letters

    async def dead_letters_async(self) -> list[DeadLetter]:
        """As dead_letters."""
        letters: list[DeadLetter] = []
        more = True
        while more:
            try:
                answer = await self._dead().perform_async()
            except Error:
                if letters:
                    break
                raise
            more = self._add_letters(letters, answer)
        return letters

    def info(self) -> Info:
        """Tell what there is in the queue."""
        return _info(self._info().perform())

    async def info_async(self) -> Info:
        """As info."""
        return _info(await self._info().perform_async())

    def _operation(self, name: str, failed: str, back: str = "", **more: Any) -> Operation:
        arguments = {"name": self.name, "size": self.size, "deliveries": self.deliveries, **more}
        return Operation(name, arguments, failed, back)

    def _put(self, value: T, **more: Any) -> Operation:
        failed = f"nothing was put into queue {self.name!r}, or nobody knows"
        return self._operation("queue.put", failed, value=self._encode(value), **more)

    def _put_all(self, values: Iterable[T]) -> Operation | None:
        encoded = [self._encode(value) for value in values]
        if not encoded:
            return None
        failed = f"{len(encoded)} items were not put into queue {self.name!r}, or nobody knows"
        return self._operation("queue.put", failed, values=encoded)

    def _get_many(self, most: int) -> Operation:
        check_number(self.name, "items", most, _MOST_AT_ONCE)
        return self._get(most=most)

    def _done_all(self, items: Sequence[Item[T]]) -> Operation:
        failed = f"{len(items)} items of queue {self.name!r} were not done, or nobody knows"
        for item in items:
            if item._granted.name != self.name:
                raise ValueError(
                    f"procpool: {item!r} is not of queue {self.name!r}, so that none of "
                    f"{len(items)} items was done"
                )
        tickets = [item._granted.ticket for item in items]
        return Operation("queue.done", {"name": self.name, "tickets": tickets}, failed)

    def _get(self, **more: Any) -> Operation:
        failed = f"nothing was got from queue {self.name!r}"
        return self._operation("queue.get", failed, "queue.return", **more)

    def _join(self) -> Operation:
        return self._operation("queue.join", f"not all of queue {self.name!r} was seen to be done")

    def _close(self) -> Operation:
        return self._operation("queue.close", f"queue {self.name!r} was not closed")

    def _dead(self) -> Operation:
        return self._operation("queue.dead", f"the dead letters of {self.name!r} were not got")

    def _info(self) -> Operation:
        return self._operation("queue.info", f"queue {self.name!r} was not looked at")

    def _item(self, answer: Answer) -> Item[T]:
        granted, reply = answer.granted, answer.reply
        assert granted is not None
        try:
            value = self._decode(reply.get("value", b""))
            granted.shield.hand_over()
        except CodecError:
            granted.give_back()
            raise
        except BaseException:  # Cancelled, while it was decoded
            granted.give_back(unseen=True)
            raise
        return Item(value, reply.get("delivery", 0), granted)

    def _items(self, answer: Answer) -> list[Item[T]]:
        granted = answer.granted
        assert granted is not None
        items: list[Item[T]] = []
        failure: CodecError | None = None
        try:
            for index, got in enumerate(answer.reply.get("items", ())):
                part = granted.part(index)
                try:
                    value = self._decode(got.get("value", b""))
                except CodecError as error:
                    failure = failure or error
                    part.give_back()
                else:
                    items.append(Item(value, got.get("delivery", 0), part))
            if failure is not None and not items:
                raise failure
            granted.shield.hand_over()
        except CodecError:
            raise
        except BaseException:  # Cancelled, while they were decoded
            granted.give_back(unseen=True)
            raise
        return items

    def _add_letters(self, letters: list[DeadLetter], answer: Answer) -> bool:
        """Append what has come, and tell whether there is more."""
        for letter in answer.reply.get("letters", ()):
            value, error = None, None
            try:
                value = self._decode(letter.get("value", b""))
            except CodecError as failure:
                error = failure
            letters.append(DeadLetter(value, letter.get("deliveries", 0), error))
        return bool(answer.reply.get("more", False))

    def _encode(self, value: T) -> bytes:
        try:
            encoded = _codec.encode("cbor", value, self._shape, "encode an item")
        except _failure.CodecFailure as failure:
            raise self._codec_error(failure) from failure.__cause__
        return encoded if isinstance(encoded, bytes) else b"".join(encoded)

    def _decode(self, encoded: bytes) -> T:
        try:
            value: T = _codec.decode("cbor", encoded, self._shape, "decode an item")
        except _failure.CodecFailure as failure:
            raise self._codec_error(failure) from failure.__cause__
        return value

    def _codec_error(self, failure: _failure.CodecFailure) -> CodecError:
        made = _failure.codec_error(failure, self.name)
        made.args = (f"can't {failure.op} of queue {self.name!r}: {failure}",)
        return made

    def __repr__(self) -> str:
        more = "" if self.deliveries == 3 else f", deliveries={self.deliveries}"
        return f"procpool.shared.Queue({self.name!r}, {self.size}{more})"


def _info(answer: Answer) -> Info:
    reply = answer.reply
    queued, taken, dead, lost = (reply.get(key, 0) for key in ("queued", "taken", "dead", "lost"))
    return Info(queued, taken, dead, lost, closed=reply.get("closed", False))
