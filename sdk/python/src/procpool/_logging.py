"""Log records go to the host's log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from . import _runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

# What each record has; anything else was given as extra.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NAME = "procpool.task"


class LogHandler(logging.Handler):
    """Sends records to the host's log, with the call that wrote them.

    ``context().logger`` has one. Give one to another logger to have its records there
    too: ``logging.getLogger().addHandler(procpool.LogHandler())``. Entries of extra become
    fields, as text. In a program that is no worker it does nothing.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Send the record unless a filter or the host's level is against it.

        There is no lock: a cancellation could leave it locked for ever.
        """
        passed = self.filter(record)
        if isinstance(passed, logging.LogRecord):
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record."""
        host = _runtime.process.host
        level = _level(record.levelno)
        if host is None or not 0 < host.log_level <= level:
            return
        try:
            message, fields = record.getMessage(), _fields(record)
        except Exception:
            self.handleError(record)
            return
        nanoseconds = int(record.created * 1e9)
        call = _runtime.current_call.get()
        if call is not None:
            call.log(level, message, fields, nanoseconds)
        else:
            host.log(level, message, fields, nanoseconds)


def _level(number: int) -> int:
    """Return the LogLevel of a level of logging: from 1, debug, to 4, error."""
    return min(max(number // 10, 1), 4)


def _fields(record: logging.LogRecord) -> Mapping[str, str]:
    fields = {name: str(value) for name, value in vars(record).items() if name not in _USUAL}
    if record.name != _NAME:
        fields["logger"] = record.name
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields


def task_logger() -> logging.Logger:
    """Return the logger of tasks, which asks for no more than the host wants.

    In a program that is no worker it is a logger like any other.
    """
    logger = logging.getLogger(_NAME)
    host = _runtime.process.host
    if host is not None:
        if not any(isinstance(handler, LogHandler) for handler in logger.handlers):
            logger.addHandler(LogHandler())
            logger.propagate = False
        level = host.log_level * 10 or logging.CRITICAL + 1
        if logger.level != level:
            logger.setLevel(level)
    return logger
