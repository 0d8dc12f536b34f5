"""Tasks: functions under a name, and the decorators that make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import _codec, _function, _shape
from ._failure import CodecFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ._actor import Method
    from ._runtime import Payload
    from ._shape import Shape, Signature

    Errors = Mapping[str, type[BaseException] | tuple[type[BaseException], ...]]

F = TypeVar("F", bound="Callable[..., Any]")
FUNCTION, STREAM, SESSION, ACTOR = "function", "stream", "session", "actor"
#: What they are called in a sentence.
A_KIND = {
    FUNCTION: "a function",
    STREAM: "a stream",
    SESSION: "a session",
    ACTOR: "an actor",
}
ATTRIBUTE = "__procpool_task__"
CODECS = ("cbor", "json")


class Task:
    """A function that workers serve under a name. The decorators make it.

    What depends on type hints is read when it is first asked for: a hint may name what
    is defined further down in its module. It raises TypeError if a hint can't be.
    """

    # Set by _read_hints.
    input: str
    output: str
    receives: str
    input_shape: Shape
    output_shape: Shape
    function: Callable[..., Any]
    codecs: tuple[str, ...]
    takes_argument: bool
    _receives_shape: Shape

    #: Those of an actor, in the order of their numbers.
    methods: Sequence[Method] = ()

    def __init__(
        self,
        kind: str,
        name: str,
        function: Callable[..., Any],
        codecs: Iterable[str] = CODECS,
        errors: Errors | None = None,
    ) -> None:
        check_name(kind, name)
        self.kind, self.name = kind, name
        self.is_async = _function.is_async(function)
        self.doc = _function.doc(function)
        self.errors = dict(errors or {})
        self.origin = (function.__code__.co_filename, function.__code__.co_firstlineno)
        self._original = function
        self.wanted_codecs = tuple(codecs)
        yields = kind in (STREAM, SESSION)
        self._value_op = "encode a value" if yields else "encode the result"
        _check(self, function)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "input_shape" in vars(self):
            raise AttributeError(name)
        self._read_hints()
        return getattr(self, name)

    def _read_hints(self) -> None:
        signature = self._signature()
        shapes = [signature.input, signature.output]
        if signature.receives is not None:
            self._receives_shape = signature.receives
            shapes.append(signature.receives)
        self.output_shape = signature.output
        self.input, self.output = signature.input.text, signature.output.text
        self.receives = signature.receives.text if signature.receives else ""
        self.codecs = self.wanted_codecs
        if "raw" not in self.codecs and all(shape.from_buffer for shape in shapes):
            self.codecs += ("raw",)
        self.takes_argument = signature.takes_argument
        #: Runs a call: takes the argument, and for a session the received values as well.
        self.function = self._taking_argument(self._original)
        self.input_shape = signature.input

    def _signature(self) -> Signature:
        return _shape.signature(self._original, self.kind)

    def _taking_argument(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return what runs with an argument, also where there is no parameter for one."""
        return run if self.takes_argument else lambda _: run()

    def decode(self, codec: str, data: bytes | memoryview) -> Any:
        """Decode an argument; raises CodecFailure. The value may be a view of data."""
        if not self.takes_argument:
            return None
        if codec not in self.codecs:
            raise self._unknown(codec, "decode the argument")
        return _codec.decode(codec, data, self.input_shape, "decode the argument")

    def decode_received(self, codec: str, data: bytes | memoryview) -> Any:
        """Decode a value that a session receives; raises CodecFailure."""
        if codec not in self.codecs:
            raise self._unknown(codec, "decode a received value")
        return _codec.decode(codec, data, self._receives_shape, "decode a received value")

    def encode(self, codec: str, value: Any) -> Payload:
        """Encode a result, or a value that is sent; raises CodecFailure."""
        if codec not in self.codecs:
            raise self._unknown(codec, self._value_op)
        return _codec.encode(codec, value, self.output_shape, self._value_op)

    def _unknown(self, codec: str, op: str) -> CodecFailure:
        known = ", ".join(self.codecs)
        return CodecFailure(op, codec, f"the task's codecs are {known}")

    def __repr__(self) -> str:
        return f"<procpool {self.kind} {self.name!r}>"


def check_name(kind: str, name: str) -> None:
    """Raise a sentence where a name is none."""
    if not name or any(c.isspace() or not c.isprintable() for c in name):
        what = "an actor" if kind == ACTOR else f"a {'task' if kind == FUNCTION else kind}"
        verb = "task" if kind == FUNCTION else kind
        raise ValueError(
            f"procpool: {name!r} is no name for {what}: it holds no space or control "
            f'character and is not empty; give one, as in @procpool.{verb}("square")'
        )


def _check(task: Task, function: Callable[..., Any]) -> None:
    """Raise a sentence where a task can't work."""
    if task.kind == FUNCTION and _function.is_generator(function):
        raise TypeError(
            f"procpool: the task {task.name!r} is a generator: make it a stream, "
            "with @procpool.stream, or return a value"
        )
    if task.kind == ACTOR and _function.is_generator(function):
        raise TypeError(
            f"procpool: {task.name!r} is a generator, and a method returns one value: return a "
            "list, or call the method for each"
        )
    if task.kind in (STREAM, SESSION) and _function.is_coroutine(function):
        raise TypeError(
            f"procpool: the {task.kind} {task.name!r} is async and yields nothing: "
            "it has to be an async generator"
        )
    unknown = [codec for codec in task.wanted_codecs if codec not in _codec.NAMES]
    if unknown or not task.wanted_codecs:
        raise ValueError(
            f"procpool: codecs={task.wanted_codecs!r} of {task.name!r}: "
            f"name some of {', '.join(_codec.NAMES)}"
        )
    for code, kinds in task.errors.items():
        if not code or not all(
            isinstance(kind, type) and issubclass(kind, BaseException)
            for kind in (kinds if isinstance(kinds, tuple) else (kinds,))
        ):
            raise TypeError(
                f"procpool: errors={{{code!r}: {kinds!r}}} of {task.name!r}: give each class of "
                "exceptions a name"
            )


class Hook(NamedTuple):
    """An initializer or a finalizer."""

    function: Callable[[], Any]
    is_async: bool


_tasks: dict[str, Task] = {}
initializers: list[Hook] = []
finalizers: list[Hook] = []


def registered() -> list[Task]:
    """Return all decorated tasks in the order in which they were made.

    Raises TypeError if the type hints of one can't be those of a task.
    """
    tasks = list(_tasks.values())
    for made in tasks:
        _ = made.input_shape
    return tasks


def of(function: object) -> Task:
    """Return the task of a decorated function or class; TypeError if it is none."""
    # A class does not inherit being an actor: one that is derived has other state.
    own = vars(function) if isinstance(function, type) else getattr(function, "__dict__", {})
    found = own.get(ATTRIBUTE)
    if not isinstance(found, Task):
        how = "@procpool.task, @procpool.stream or @procpool.session"
        if isinstance(function, type):
            how = "@procpool.actor"
        raise TypeError(f"procpool: {function!r} is no task: decorate it with {how}")
    return found


def register(made: Task) -> None:
    """Have workers serve a task; ValueError if there is another of its name."""
    other = _tasks.get(made.name)
    # A module may run twice in a process: as __main__ and under its own name.
    if other is not None and other.origin != made.origin:
        raise ValueError(
            f"procpool: there are two tasks of the name {made.name!r}: in %s, line %d, and in "
            "%s, line %d" % (*other.origin, *made.origin)
        )
    _tasks[made.name] = made


def _decorator(
    kind: str, name: str | None, codecs: Iterable[str], errors: Errors | None
) -> Callable[[F], F]:
    if name is not None and not isinstance(name, str):
        verb = "task" if kind == FUNCTION else kind
        raise TypeError(f'procpool: write @procpool.{verb}() or @procpool.{verb}("name")')

    def decorate(function: F) -> F:
        if isinstance(function, type):
            raise TypeError(
                f"procpool: {function.__qualname__} is a class: make it an actor, with "
                "@procpool.actor, or have a function for each task"
            )
        if not hasattr(function, "__code__"):
            raise TypeError(f"procpool: {function!r} can't be a task: wrap it in a def")
        if name is None and function.__name__ == "<lambda>":
            raise ValueError("procpool: a lambda has no name: give the task one")
        made = Task(kind, function.__name__ if name is None else name, function, codecs, errors)
        register(made)
        setattr(function, ATTRIBUTE, made)
        return function

    return decorate


def task(
    name: str | None = None, *, codecs: Iterable[str] = CODECS, errors: Errors | None = None
) -> Callable[[F], F]:
    """Make a function a task: it takes one argument, or none, and returns the result.

    name is what callers use, the function's own unless given. codecs are those that the
    task takes, the preferred one first; where argument and result are bytes, "raw" is
    one, too. errors names classes of exceptions that callers can tell apart: what is
    raised has that name as its code there, the first that fits.

    The function itself is returned and can be called as before. Its type hints become
    the task's description; an argument that does not fit them is refused. It may be
    ``async def``.
    """
    return _decorator(FUNCTION, name, codecs, errors)


def stream(
    name: str | None = None, *, codecs: Iterable[str] = CODECS, errors: Errors | None = None
) -> Callable[[F], F]:
    """Make a generator function a stream: it takes one argument and yields values.

    It may be an async generator. See task for the parameters.
    """
    return _decorator(STREAM, name, codecs, errors)


def session(
    name: str | None = None, *, codecs: Iterable[str] = CODECS, errors: Errors | None = None
) -> Callable[[F], F]:
    """Make a generator function a session: it receives values and yields values.

    It takes the argument and an iterator over what the caller sends, and may be an async
    generator, whose iterator is an async one. See task for the parameters.
    """
    return _decorator(SESSION, name, codecs, errors)


def initializer(function: F) -> F:
    """Have a function without parameters run in the main thread before any call.

    The worker is ready when it has returned. If it raises, the worker does not start, and
    the host shows the traceback. It may be ``async def``.
    """
    initializers.append(Hook(function, _function.is_async(function)))
    return function


def finalizer(function: F) -> F:
    """Have a function without parameters run in the main thread when the worker leaves.

    It should be quick; a worker that is killed or crashes does not run it. It may be
    ``async def``.
    """
    finalizers.append(Hook(function, _function.is_async(function)))
    return function
