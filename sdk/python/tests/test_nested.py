from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2

from procpool._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from conftest import Start
    from host import Worker

WORKER = """
    import queue, threading, time
    import procpool
    from procpool._runtime import HostRequest, current_call

    late = []

    def answer_text(answer):
        if answer.failure is None:
            return bytes(answer.result)
        return f"{answer.failure.kind} {answer.failure.message}"

    @procpool.task()
    def square(n: int) -> int:
        return n * n

    @procpool.task()
    def ask(what: dict) -> object:
        call = current_call.get()
        answers = queue.SimpleQueue()
        request = HostRequest(what["name"], "cbor", bytes(what.get("size", 1)),
                              run_limit=what.get("limit"), metadata=what.get("metadata", {}))
        give_up = call.call_host(request, answers.put)
        if what.get("give_up"):
            give_up()
            give_up()
        with call.waiting():
            answer = answers.get()
        assert answers.empty()
        return answer_text(answer)

    class GivesUp(dict):
        # Metadata that has others made and given up when it is looked at, and when it is
        # put into the HostCall.
        def __init__(self, give_up):
            super().__init__({"k": "v"})
            self.give_up = give_up

        def __iter__(self):
            self.give_up()
            return super().__iter__()

        def keys(self):
            self.give_up()
            return super().keys()

        def items(self):
            self.give_up()
            return super().items()

    @procpool.task()
    def ask_while_asking(_: None) -> object:
        call = current_call.get()
        answers = queue.SimpleQueue()
        first = HostRequest("first", "cbor", b"x")
        give_ups = []

        def give_up():
            give_ups.append(call.call_host(first, answers.put))
            give_ups[-1]()

        second = HostRequest("second", "cbor", b"x", metadata=GivesUp(give_up))
        call.call_host(second, answers.put)
        given_up = [answer_text(answers.get()) for _ in give_ups]
        with call.waiting():
            return [len(given_up) > 1, *sorted(set(given_up)), answer_text(answers.get())]

    @procpool.task()
    def ask_in_threads(n: int) -> list:
        call = current_call.get()
        results = []

        def one(i):
            answers = queue.SimpleQueue()
            call.call_host(HostRequest("t", "cbor", bytes([i])), answers.put)
            with call.waiting():
                results.append(answer_text(answers.get()))

        threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(results)

    kept = []

    @procpool.task()
    def leave(_: None) -> None:
        call = current_call.get()
        kept.append(call)
        call.call_host(HostRequest("t", "cbor", b"x"), late.append)

    @procpool.task()
    def ask_too_late(_: None) -> str:
        kept[0].call_host(HostRequest("t", "cbor", b"x"), late.append)
        return [answer_text(answer) for answer in late]

    go_on = threading.Event()
    ended = threading.Event()

    @procpool.task()
    def leave_a_thread_waiting(_: None) -> None:
        call = current_call.get()
        inside = threading.Event()
        def wait():
            with call.waiting():
                inside.set()
                go_on.wait()
            ended.set()
        threading.Thread(target=wait).start()
        inside.wait()

    @procpool.task()
    def let_it_go_on(_: None) -> None:
        go_on.set()
        ended.wait()

    @procpool.task()
    def wait_long(_: None) -> None:
        with current_call.get().waiting():
            time.sleep(3600)

    procpool.serve()
"""


def reply(worker: Worker, call: pb.HostCall, **result: object) -> None:
    worker.send(pb.WorkRequest(host_replies=[pb.HostReply(id=call.id, **result)]))  # type: ignore[arg-type]


def test_a_nested_call(start: Start) -> None:
    worker = start(WORKER)
    what = {"name": "other", "limit": 1.5, "metadata": {"k": "v"}, "size": 3}
    seq = worker.start("ask", cbor2.dumps(what), timeout_nanos=10**12)
    call = worker.wait(pb.HostCall)
    assert (call.id, call.parent_seq, call.parent_lane) == (1, seq, 0)
    assert (call.name, call.codec, call.inline) == ("other", "cbor", bytes(3))
    assert call.kind == pb.TASK_KIND_FUNCTION
    assert dict(call.metadata) == {"k": "v"}
    assert 0 < call.timeout_nanos <= 10**12
    assert call.run_limit_nanos == 1_500_000_000
    assert worker.page
    page = worker.page
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    reply(worker, call, inline=b"abc")
    assert cbor2.loads(worker.outcome(seq).inline) == b"abc"
    assert page.read("waiting_since") == 0


def test_a_large_argument(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("ask", cbor2.dumps({"name": "other", "size": 3 << 20}))
    call = worker.wait(pb.HostCall)
    assert call.inline == bytes(3 << 20)
    reply(worker, call, inline=bytes(4 << 20))
    assert cbor2.loads(worker.outcome(seq).inline) == bytes(4 << 20)


def test_a_failed_nested_call(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("ask", cbor2.dumps({"name": "other"}))
    failure = pb.Failure(kind=pb.FAILURE_KIND_CRASH, message="it died")
    reply(worker, worker.wait(pb.HostCall), failure=failure)
    assert cbor2.loads(worker.outcome(seq).inline) == "7 it died"


def test_a_nested_call_that_is_given_up(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("ask", cbor2.dumps({"name": "other", "give_up": True}))
    call = worker.wait(pb.HostCall)
    assert worker.wait(pb.HostCancel).id == call.id
    assert "it was cancelled" in cbor2.loads(worker.outcome(seq).inline)
    reply(worker, call, inline=b"x")  # finds nobody
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)


def test_nested_calls_of_many_threads(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("ask_in_threads", cbor2.dumps(20))
    calls = [worker.wait(pb.HostCall) for _ in range(20)]
    assert [call.id for call in calls] == list(range(1, 21))
    for call in calls:
        reply(worker, call, inline=call.inline * 2)
    results = cbor2.loads(worker.outcome(seq).inline)
    assert results == [bytes([i, i]) for i in range(20)]


def test_what_a_call_leaves_behind_is_given_up(start: Start) -> None:
    worker = start(WORKER)
    worker.call("leave", b"\xf6")
    call = worker.wait(pb.HostCall)
    reply(worker, call, inline=b"x")
    texts = cbor2.loads(worker.call("ask_too_late", b"\xf6").inline)
    assert "the call that has made it has ended" in texts[0]
    assert "the call that makes it has ended" in texts[1]
    assert not worker.taken(pb.HostCall)
    assert not worker.taken(pb.HostCancel)


def test_a_host_that_takes_no_calls(start: Start) -> None:
    worker = start(WORKER, hello={"capabilities": ["recorder"]})
    text = cbor2.loads(worker.call("ask", cbor2.dumps({"name": "other"})).inline)
    assert "the host takes no calls from tasks" in text


def test_arguments_and_texts_that_are_too_large(start: Start) -> None:
    worker = start(WORKER, max_payload=1 << 20)
    text = cbor2.loads(worker.call("ask", cbor2.dumps({"name": "x", "size": 2 << 20})).inline)
    assert "at most 1048576 are allowed" in text
    text = cbor2.loads(worker.call("ask", cbor2.dumps({"name": "x" * (1 << 18)})).inline)
    assert "are too long" in text


def test_a_thread_that_waits_beyond_its_call_is_forgotten(start: Start) -> None:
    worker = start(WORKER)
    page = worker.page
    assert page
    worker.call("leave_a_thread_waiting", b"\xf6")
    assert page.read("waiting_since") == 0
    worker.call("let_it_go_on", b"\xf6")
    assert page.read("waiting_since") == 0
    seq = worker.start("ask", cbor2.dumps({"name": "other"}))
    call = worker.wait(pb.HostCall)
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    reply(worker, call, inline=b"x")
    worker.outcome(seq)
    assert page.read("waiting_since") == 0


def test_a_cancel_interrupts_who_waits(start: Start) -> None:
    worker = start(WORKER)
    seq = worker.start("ask", cbor2.dumps({"name": "other"}))
    call = worker.wait(pb.HostCall)
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")
    reply(worker, call, inline=b"x")
    seq = worker.start("wait_long", b"\xf6")
    assert worker.page
    page = worker.page
    page.wait_until(lambda: page.read("waiting_since") > 0, "the wait")
    worker.cancel(seq)
    assert worker.outcome(seq).failure.type.endswith("Cancelled")
    assert page.read("waiting_since") == 0


def test_calls_are_made_while_another_is_being_made(start: Start) -> None:
    """As a __del__ does that uses shared state, or gives a call up."""
    worker = start(WORKER)
    seq = worker.start("ask_while_asking", b"\xf6")
    second = worker.wait(pb.HostCall, lambda call: call.name == "second")
    reply(worker, second, inline=b"done")
    given_up = f"{pb.FAILURE_KIND_CANCELLED} the call was given up: it was cancelled"
    assert cbor2.loads(worker.outcome(seq).inline) == [True, given_up, b"done"]
    for call in worker.taken(pb.HostCall):
        if call.name == "first":
            reply(worker, call, inline=b"late")
    assert worker.call("square", b"\x07").inline == cbor2.dumps(49)
