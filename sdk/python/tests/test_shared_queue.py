"""The shared queue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cbor2
import pytest
from sharing import Scripted, failure

import procpool
from procpool import shared


@dataclass
class Job:
    name: str
    pages: int = 1


jobs = shared.Queue("jobs", 100, of=Job)
anything = shared.Queue("anything", 5, deliveries=1)
CLOSED = failure("shared_queue_closed", 'queue "jobs": it is closed')
FULL = failure("shared_would_block", 'queue "jobs": it is full')


@pytest.fixture
def call() -> Iterator[Scripted]:
    with Scripted().running() as made:
        assert isinstance(made, Scripted)
        yield made


def item(name: str, delivery: int = 1) -> dict[str, Any]:
    return {"value": cbor2.dumps({"name": name, "pages": 3}), "delivery": delivery}


def test_put(call: Scripted) -> None:
    call.script({}, {}, FULL, CLOSED)
    jobs.put(Job("a"))
    name, arguments = call.asked()
    assert cbor2.loads(arguments.pop("value")) == {"name": "a", "pages": 1}
    assert (name, arguments) == ("queue.put", {"name": "jobs", "size": 100, "deliveries": 3})
    jobs.try_put(Job("b"))
    assert call.asked()[1]["no_wait"] is True
    with pytest.raises(shared.WouldBlockError, match="it is full"):
        jobs.try_put(Job("c"))
    with pytest.raises(shared.QueueClosedError, match="it is closed"):
        jobs.put(Job("d"), timeout=60)
    assert call.told == []


def test_items_of_any_type(call: Scripted) -> None:
    large = bytes(200_000)
    call.script({}, {"value": cbor2.dumps([large, None]), "delivery": 1})
    anything.put([large, None])
    assert cbor2.loads(call.asked()[1]["value"]) == [large, None]
    assert (call.asked()[1]["size"], call.asked()[1]["deliveries"]) == (5, 1)
    assert anything.get().value == [large, None]
    call.script({})
    anything.put(large)
    assert cbor2.loads(call.asked()[1]["value"]) == large
    with pytest.raises(
        procpool.CodecError, match="can't encode an item of queue 'anything': item: "
    ):
        anything.put(object())


def test_get_and_done(call: Scripted) -> None:
    call.script(item("a", 2), {}, failure("shared_not_held", 'queue "jobs": it is not held'))
    got = jobs.get()
    name, arguments = call.asked()
    ticket = arguments.pop("ticket")
    assert 0 < ticket < 1 << 63
    assert (name, arguments) == ("queue.get", {"name": "jobs", "size": 100, "deliveries": 3})
    assert (got.value, got.delivery) == (Job("a", 3), 2)
    assert repr(got) == "<procpool item of queue 'jobs': Job(name='a', pages=3)>"
    got.done()
    assert call.asked() == ("queue.done", {"name": "jobs", "ticket": ticket})
    got.give_back()  # does nothing any more
    with pytest.raises(shared.NotHeldError, match="it is not held"):
        got.done()
    assert call.told == []


def test_give_back(call: Scripted) -> None:
    call.script(item("a"))
    got = jobs.get()
    got.give_back()
    got.give_back()
    ticket = call.asked()[1]["ticket"]
    assert call.heard() == [("queue.return", {"name": "jobs", "ticket": ticket})]


def test_with_blocks(call: Scripted) -> None:
    call.script(item("a"), {})
    with jobs.get() as got:
        assert got.value.name == "a"
    assert call.asked()[0] == "queue.done"
    call.script(item("b"))
    with pytest.raises(ZeroDivisionError), jobs.get():
        raise ZeroDivisionError
    assert [name for name, _ in call.heard()] == ["queue.return"]
    call.script(item("c"), {}, item("d"))
    with jobs.get() as got:
        got.done()
    with jobs.get() as got:
        got.give_back()
    names = [request.name for request in call.requests]
    assert names.count("queue.done") == 2
    assert len(call.told) == 2


def test_try_get(call: Scripted) -> None:
    call.script(item("a"), failure("shared_would_block", "it is empty"))
    assert jobs.try_get() is not None
    assert call.asked()[1]["no_wait"] is True
    assert jobs.try_get() is None


def test_a_loop_ends_when_the_queue_is_closed(call: Scripted) -> None:
    call.script(item("a"), {}, item("b"), {}, CLOSED)
    seen = []
    for got in jobs:
        with got:
            seen.append(got.value.name)
    assert seen == ["a", "b"]
    call.script(failure("shared_mismatch", "it is a mutex"))
    with pytest.raises(shared.MismatchError):
        next(iter(jobs))


def test_an_item_that_is_not_what_it_should_be_goes_back(call: Scripted) -> None:
    call.script({"value": cbor2.dumps({"name": 5}), "delivery": 1})
    with pytest.raises(procpool.CodecError) as caught:
        jobs.get()
    assert str(caught.value) == (
        "can't decode an item of queue 'jobs': item.name: expected str, got int"
    )
    assert (caught.value.op, caught.value.codec) == ("decode an item", "cbor")
    ticket = call.asked()[1]["ticket"]
    assert call.heard() == [("queue.return", {"name": "jobs", "ticket": ticket})]


def test_an_item_in_whose_decoding_the_call_is_cancelled_goes_back_unseen(
    call: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    call.script(item("a"))

    def cancelled(*_: object) -> None:
        raise procpool.Cancelled

    monkeypatch.setattr(jobs, "_decode", cancelled)
    with pytest.raises(procpool.Cancelled):
        jobs.get()
    assert [(name, a["unseen"]) for name, a in call.heard()] == [("queue.return", True)]


def test_timeouts(call: Scripted) -> None:
    call.script(None, None, None)
    with pytest.raises(TimeoutError, match=r"nothing was got from queue 'jobs' within 0\.001s"):
        jobs.get(timeout=0.001)
    assert [(name, a["unseen"]) for name, a in call.heard()] == [("queue.return", True)]
    with pytest.raises(TimeoutError, match="nothing was put into queue 'jobs', or nobody knows"):
        jobs.put(Job("a"), timeout=0.001)
    with pytest.raises(TimeoutError, match="not all of queue 'jobs' was seen to be done within"):
        jobs.join(timeout=0.001)
    assert call.given_up == [0, 1, 2]
    assert len(call.told) == 1


def test_join_close_and_info(call: Scripted) -> None:
    call.script({}, {}, {"queued": 1, "taken": 2, "dead": 3, "lost": 4, "closed": True}, {})
    jobs.join()
    jobs.close()
    assert jobs.info() == shared.Info(queued=1, taken=2, dead=3, lost=4, closed=True)
    assert jobs.info() == (0, 0, 0, 0, False)
    wanted = {"name": "jobs", "size": 100, "deliveries": 3}
    assert [call.asked(n) for n in range(3)] == [
        ("queue.join", wanted),
        ("queue.close", wanted),
        ("queue.info", wanted),
    ]


def letter(value: Any, deliveries: int = 3) -> dict[str, Any]:
    return {"value": cbor2.dumps(value), "deliveries": deliveries}


def test_dead_letters(call: Scripted) -> None:
    good, bad = letter({"name": "a"}), letter("no job", 4)
    call.script({"letters": [good, bad], "more": True}, {"letters": [good]}, {})
    letters = jobs.dead_letters()
    assert letters[0] == letters[2] == (Job("a"), 3, None)
    assert (letters[1].value, letters[1].deliveries) == (None, 4)
    assert "item: expected Job, got str" in str(letters[1].error)
    assert jobs.dead_letters() == []
    # What was taken out is not lost when the rest can't be had.
    call.script({"letters": [good], "more": True}, CLOSED, CLOSED)
    assert [letter.value for letter in jobs.dead_letters()] == [Job("a")]
    with pytest.raises(shared.QueueClosedError):
        jobs.dead_letters()


def test_definitions_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="0 items of 'q': it is from 1 to"):
        shared.Queue("q", 0)
    with pytest.raises(ValueError, match="0 deliveries of 'q'"):
        shared.Queue("q", 1, deliveries=0)
    with pytest.raises(ValueError, match="can't be the name"):
        shared.Queue("", 1)
    assert repr(shared.Queue("q", 1)) == "procpool.shared.Queue('q', 1)"
    assert repr(anything) == "procpool.shared.Queue('anything', 5, deliveries=1)"


def test_types_are_seen() -> None:
    """Mypy sees to it."""

    def typed() -> None:
        got: shared.Item[Job] = jobs.get()
        value: Job = got.value
        untyped: shared.Item[Any] = anything.get()
        jobs.put(5)  # type: ignore[arg-type]
        print(value, untyped)

    assert callable(typed)


def test_coroutines(call: Scripted) -> None:
    async def main() -> None:
        call.script({}, {}, item("a"), {}, item("b"), item("c"), failure("shared_would_block", ""))
        await jobs.put_async(Job("x"), timeout=60)
        await jobs.try_put_async(Job("y"))
        async with await jobs.get_async() as got:
            assert got.value.name == "a"
        assert call.asked()[0] == "queue.done"
        with pytest.raises(ZeroDivisionError):
            async with await jobs.get_async(timeout=60):
                raise ZeroDivisionError
        last = await jobs.try_get_async()
        assert last is not None
        last.give_back()
        assert [name for name, _ in call.heard()] == ["queue.return"] * 2
        assert await jobs.try_get_async() is None
        call.script(item("a"), {}, item("b"), CLOSED, {}, {}, {"queued": 1}, {"letters": []})
        seen = []
        async for got in jobs:
            seen.append(got.value.name)
            async with got:
                if len(seen) == 2:
                    got.give_back()
        assert seen == ["a", "b"]
        await jobs.join_async()
        await jobs.close_async()
        assert (await jobs.info_async()).queued == 1
        assert await jobs.dead_letters_async() == []
        call.script({"letters": [letter({"name": "a"})], "more": True}, CLOSED, CLOSED)
        assert len(await jobs.dead_letters_async()) == 1
        with pytest.raises(shared.QueueClosedError):
            await jobs.dead_letters_async()

    asyncio.run(main())
