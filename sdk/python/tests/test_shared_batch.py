"""Many items of the shared queue at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from sharing import Scripted, failure

import procpool
from procpool import shared

numbers = shared.Queue("numbers", 5, of=int)
NOT_HELD = failure("shared_not_held", 'queue "numbers": it is not held')
ME = {"name": "numbers", "size": 5, "deliveries": 3}


@pytest.fixture
def call() -> Iterator[Scripted]:
    with Scripted().running() as made:
        assert isinstance(made, Scripted)
        yield made


def delivered(*values: Any) -> dict[str, Any]:
    return {"items": [{"value": cbor2.dumps(value), "delivery": 1} for value in values]}


def test_put_all(call: Scripted) -> None:
    call.script({}, failure("shared_queue_closed", 'queue "numbers": it is closed'))
    numbers.put_all(iter([1, 2, 3]))
    name, arguments = call.asked()
    assert [cbor2.loads(value) for value in arguments.pop("values")] == [1, 2, 3]
    assert (name, arguments) == ("queue.put", ME)
    with pytest.raises(shared.QueueClosedError, match="it is closed"):
        numbers.put_all([1])
    numbers.put_all([])
    assert len(call.requests) == 2
    bad: list[Any] = [1, object()]
    with pytest.raises(procpool.CodecError, match="can't encode an item of queue 'numbers'"):
        numbers.put_all(bad)
    assert len(call.requests) == 2


def test_each_item_is_its_own(call: Scripted) -> None:
    call.script(delivered(7, 8, 9), {}, {}, NOT_HELD)
    items = numbers.get_many(10, timeout=60)
    name, arguments = call.asked()
    ticket = arguments.pop("ticket")
    assert (name, arguments) == ("queue.get", {**ME, "most": 10})
    assert [(item.value, item.delivery) for item in items] == [(7, 1), (8, 1), (9, 1)]
    items[1].done()
    assert call.asked() == ("queue.done", {"name": "numbers", "ticket": ticket + 1})
    numbers.done_all([items[0], items[2]])
    assert call.asked() == ("queue.done", {"name": "numbers", "tickets": [ticket, ticket + 2]})
    for item in items:
        item.give_back()  # does nothing
    with pytest.raises(shared.NotHeldError, match="it is not held"):
        numbers.done_all(items)
    assert call.told == []
    numbers.done_all([])
    assert len(call.requests) == 4


def test_one_goes_back(call: Scripted) -> None:
    call.script(delivered(7, 8))
    items = numbers.get_many(2)
    ticket = call.asked()[1]["ticket"]
    items[1].give_back()
    assert call.heard() == [("queue.return", {"name": "numbers", "ticket": ticket + 1})]


def test_bad_items_go_back(call: Scripted) -> None:
    call.script(delivered("no number", 8, None), delivered("neither"))
    assert [item.value for item in numbers.get_many(3)] == [8]
    ticket = call.asked()[1]["ticket"]
    back = [("queue.return", {"name": "numbers", "ticket": ticket + i}) for i in (0, 2)]
    assert call.heard() == back
    with pytest.raises(procpool.CodecError, match="can't decode an item of queue 'numbers'"):
        numbers.get_many(3)
    assert len(call.heard()) == 3


def test_a_batch_that_is_given_up_goes_back(call: Scripted) -> None:
    call.script(None)
    with pytest.raises(TimeoutError, match=r"nothing was got .* within 0\.01s"):
        numbers.get_many(3, timeout=0.01)
    ticket = call.asked()[1]["ticket"]
    gone = {"name": "numbers", "ticket": ticket, "unseen": True, "most": 3}
    assert call.heard() == [("queue.return", gone)]


def test_a_coroutine(call: Scripted) -> None:
    async def work() -> None:
        await numbers.put_all_async([1, 2])
        items = await numbers.get_many_async(2)
        assert [item.value for item in items] == [1, 2]
        await numbers.done_all_async(items)
        await numbers.put_all_async([])
        await numbers.done_all_async([])

    call.script({}, delivered(1, 2), {})
    asyncio.run(work())
    assert [call.asked(i)[0] for i in range(3)] == ["queue.put", "queue.get", "queue.done"]
    assert len(call.requests) == 3


@pytest.mark.parametrize("most", [0, -1, (1 << 14) + 1, "3"])
def test_bad_numbers(call: Scripted, most: Any) -> None:
    with pytest.raises(ValueError, match="items of 'numbers': it is from 1 to 16384"):
        numbers.get_many(most)


def test_items_of_another_queue(call: Scripted) -> None:
    call.script(delivered(1))
    items = numbers.get_many(1)
    with pytest.raises(ValueError, match="is not of queue 'others', so that none of 1 items"):
        shared.Queue("others", 5, of=int).done_all(items)
