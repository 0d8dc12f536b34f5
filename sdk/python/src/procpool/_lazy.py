"""Modules that grpcio imports and a worker does not use, loaded when somebody does.

grpcio imports its interface for asyncio, and with it asyncio and ssl, which takes as long
as all the rest; and some smaller ones. (importlib's LazyLoader is of no use: its modules are
loaded as soon as they are imported a second time.)
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = Lock()  # of the stand-ins in sys.modules


class _StandIn(ModuleType):
    """What is imported in place of a module, which is loaded when something in it is used."""

    def __getattr__(self, name: str) -> Any:
        self.make_way()
        return getattr(import_module(self.__name__), name)

    def make_way(self) -> None:
        """Have the module itself imported from here on."""
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]


@contextmanager
def put_off(*names: str) -> Iterator[None]:
    """Have modules that are imported in the with block loaded at their first use.

    Only what imports them in there has to do with stand-ins. Does nothing about those that
    were imported before.
    """
    stand_ins = [_StandIn(name) for name in names if name not in sys.modules]
    sys.modules.update((module.__name__, module) for module in stand_ins)
    try:
        yield
    finally:
        for module in stand_ins:
            module.make_way()
