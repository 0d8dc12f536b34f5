"""The steps of the standard function `shared` that are operations on shared state."""

from __future__ import annotations

from typing import Any

from procpool import shared


class Operations:
    """Makes the operations of one call, and knows what it has got."""

    def __init__(self) -> None:
        self.got: dict[tuple[str, str], list[Any]] = {}

    def take(self, operation: str, how: dict[str, Any]) -> dict[str, Any]:
        return getattr(self, operation.replace(".", "_"))(how) or {}

    def keep(self, kind: str, how: dict[str, Any], what: Any) -> Any:
        if what is None:
            raise shared.WouldBlockError(f"{kind} {how['name']!r}: it would have to wait")
        self.got.setdefault((kind, how["name"]), []).append(what)
        return what

    def last(self, kind: str, how: dict[str, Any]) -> Any:
        return self.last_few(kind, how, 1)[0]

    def last_few(self, kind: str, how: dict[str, Any], count: int) -> list[Any]:
        has = self.got.get((kind, how["name"]), [])
        if len(has) < count:
            raise shared.NotHeldError(f"the call has {len(has)} of {kind} {how['name']!r}")
        few = has[-count:]
        del has[-count:]
        return few

    def mutex_lock(self, how: dict[str, Any]) -> dict[str, Any]:
        mutex = shared.Mutex(how["name"])
        held = self.keep("mutex", how, mutex.try_lock() if how.get("no_wait") else mutex.lock())
        return {"abandoned": held.abandoned}

    def mutex_unlock(self, how: dict[str, Any]) -> None:
        self.last("mutex", how).unlock()

    def semaphore_acquire(self, how: dict[str, Any]) -> dict[str, Any]:
        semaphore = shared.Semaphore(how["name"], how["size"])
        get = semaphore.try_acquire if how.get("no_wait") else semaphore.acquire
        return {"abandoned": self.keep("semaphore", how, get(how["count"])).abandoned}

    def semaphore_release(self, how: dict[str, Any]) -> None:
        self.last("semaphore", how).release()

    def counter_add(self, how: dict[str, Any]) -> dict[str, Any]:
        counter, delta = shared.Counter(how["name"]), how.get("delta", 0)
        return {"total": counter.add(delta) if delta else counter.value()}

    def queue(self, how: dict[str, Any]) -> shared.Queue[Any]:
        return shared.Queue(how["name"], how["size"], deliveries=how["deliveries"])

    def queue_put(self, how: dict[str, Any]) -> None:
        queue = self.queue(how)
        if (values := how.get("values")) is not None:
            queue.put_all(values)
            return
        put = queue.try_put if how.get("no_wait") else queue.put
        put(how.get("value"))

    def queue_get(self, how: dict[str, Any]) -> dict[str, Any]:
        queue = self.queue(how)
        if most := how.get("most"):
            items = [self.keep("queue", how, item) for item in queue.get_many(most)]
            return {"items": [{"value": one.value, "delivery": one.delivery} for one in items]}
        item = self.keep("queue", how, queue.try_get() if how.get("no_wait") else queue.get())
        return {"value": item.value, "delivery": item.delivery}

    def queue_done(self, how: dict[str, Any]) -> None:
        if count := how.get("count"):
            self.queue(how).done_all(self.last_few("queue", how, count))
        else:
            self.last("queue", how).done()

    def queue_return(self, how: dict[str, Any]) -> None:
        self.last("queue", how).give_back()

    def queue_join(self, how: dict[str, Any]) -> None:
        self.queue(how).join()

    def queue_close(self, how: dict[str, Any]) -> None:
        self.queue(how).close()

    def queue_dead(self, how: dict[str, Any]) -> dict[str, Any]:
        letters = self.queue(how).dead_letters()
        return {"letters": [{"value": one.value, "deliveries": one.deliveries} for one in letters]}

    def queue_info(self, how: dict[str, Any]) -> dict[str, Any]:
        return self.queue(how).info()._asdict()


CODES: dict[type, str] = {
    shared.WouldBlockError: "shared_would_block",
    shared.QueueClosedError: "shared_queue_closed",
    shared.MismatchError: "shared_mismatch",
    shared.NotHeldError: "shared_not_held",
    shared.LimitError: "shared_limit",
}


def code(error: Exception) -> str:
    return getattr(error, "code", "") or CODES.get(type(error), "")
