"""Exceptions as data, and back."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._gen import worker_pb2
    from ._task import Task


class CodecFailure(Exception):
    """A value could not be encoded or decoded. Costs its call only."""

    def __init__(self, op: str, codec: str, reason: str) -> None:
        super().__init__(reason)
        self.op, self.codec = op, codec


def of(error: BaseException, task: Task) -> worker_pb2.Failure:
    """Describe what a call of the task has raised."""
    from ._gen import worker_pb2

    failure = worker_pb2.Failure(
        kind=worker_pb2.FAILURE_KIND_TASK,
        task=task.name,
        type=type(error).__qualname__,
        message=str(error),
        stack="".join(traceback.format_exception(error)),
        language="python",
    )
    if isinstance(error, CodecFailure):
        failure.kind = worker_pb2.FAILURE_KIND_CODEC
        failure.codec, failure.op = error.codec, error.op
    elif isinstance(error, SystemExit):
        failure.kind = worker_pb2.FAILURE_KIND_EXIT
    return failure
