"""The requests of nested calls: checked, and with their argument encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _codec, _failure
from ._shape import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._runtime import HostRequest, RunningCall

ANY = Shape(Any)


def caller(call: RunningCall | None) -> RunningCall:
    """Return the call that can make others; RuntimeError where there is none."""
    if call is None:
        raise RuntimeError(
            "procpool: only a running task can make calls of its pool; there is none here. A "
            "thread that a task has started runs for it in contextvars.copy_context().run(...)"
        )
    return call


def complete(
    request: HostRequest,
    argument: Any,
    takes: Shape,
    *,
    timeout: float | None = None,
    metadata: Mapping[str, str] | None = None,
    key: str = "",
    priority: int = 0,
) -> HostRequest:
    """Return a request with its argument and the caller's options."""
    if timeout is not None and timeout <= 0:
        raise ValueError(f"procpool: timeout={timeout}: a call needs time to run")
    if not -100 <= priority <= 100:
        raise ValueError(f"procpool: priority={priority}: it is between -100 and 100")
    try:
        encoded = _codec.encode(request.codec, argument, takes, "encode the argument")
    except _failure.CodecFailure as failure:
        raise _failure.codec_error(failure, request.called) from failure.__cause__
    return request._replace(
        argument=encoded,
        run_limit=timeout,
        metadata=metadata or {},
        key=key,
        priority=priority,
    )
