"""Modules that grpcio imports and a worker does not use, loaded when somebody does.

grpcio imports its interface for asyncio, and with it asyncio and ssl, which takes as long
as all the rest. (importlib's LazyLoader is of no use: its modules are loaded as soon as
they are imported a second time.)
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

_lock = RLock()
_loading: list[ModuleType] = []


class _Lazy(ModuleType):
    """A module that becomes an ordinary one at the first use of what is in it."""

    def __getattr__(self, name: str) -> Any:
        with _lock:  # other threads wait here until all is there
            if self.__class__ is _Lazy:
                spec = self.__spec__
                if self in _loading or spec is None or spec.loader is None:
                    # It is being loaded in this very thread, and has none such yet.
                    raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
                _loading.append(self)
                try:
                    self.__path__ = spec.submodule_search_locations or []
                    spec.loader.exec_module(self)
                    self.__class__ = ModuleType  # type: ignore[assignment]
                finally:
                    _loading.remove(self)
        return getattr(self, name)


def put_off(package: str) -> None:
    """Have the package loaded at its first use, and not when it is imported.

    Does nothing if it was imported before, or is not there.
    """
    if package in sys.modules:
        return
    parent, _, _ = package.rpartition(".")
    path = None
    if parent:
        found = PathFinder.find_spec(parent)
        if found is None:
            return
        path = found.submodule_search_locations
    spec = PathFinder.find_spec(package, path)
    if spec is None:
        return
    module = module_from_spec(spec)
    # Who imports a part of the package asks for its path first, and so has it loaded.
    del module.__path__
    module.__class__ = _Lazy
    sys.modules[package] = module


def put_off_asyncio() -> None:
    """Have grpcio import what it needs to serve a worker, and no more."""
    put_off("asyncio")
    put_off("grpc.aio")
