"""Crashes and outages at any call to the catalogue or change of the disk."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.catalogue import InMemoryCatalogue

#: What changes a disk, as Python's audit events call it.
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.copyfile"}


class Crash(BaseException):
    """The end of the process."""


class Fate:
    """The fault that the process meets at its n-th call.

    It dies before or after; the server is out from now on; its answer is lost; the request is carried out much later;
    or a producer writes a file meanwhile.
    """

    def __init__(self) -> None:
        self.root = ""
        self.was_reached = False
        self.late: list[Callable[[], object]] = []
        self.be_kind()

    def be_kind(self) -> None:
        """Stop all faults."""
        self.kind, self.left, self.is_dead, self.is_watching = "", -1, False, False
        self.meanwhile: Callable[[], None] = lambda: None

    def threaten(self, kind: str, after: int) -> None:
        """Let `kind` happen at the call after `after` calls."""
        self.be_kind()
        self.was_reached = self.was_reached and not kind
        self.kind, self.left, self.is_watching = kind, after if kind else -1, True

    def is_now(self) -> bool:
        """Count a call; return whether it is the one."""
        self.left -= 1
        self.was_reached |= self.left == -1
        return self.left == -1

    def disk(self, path: str) -> None:
        """Handle a change of the disk before it is made."""
        if not self.is_watching or not path.startswith(self.root):
            return
        if self.is_dead:
            raise Crash
        if self.kind == "crash at the disk" and self.is_now():
            self.is_dead = True
            raise Crash

    def call(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the catalogue answers
        """Make a call to the catalogue."""
        if not self.is_watching:
            return act()
        if self.is_dead:
            raise Crash
        if self.kind == "outage":
            if self.is_now() or self.left < 0:
                raise UnreachableError("the server is down")
            return act()
        hit = self.kind != "crash at the disk" and self.is_now()
        if hit and self.kind == "crash":
            self.is_dead = True
            raise Crash
        if hit and self.kind == "late":
            self.late.append(act)
            raise UnreachableError("the request is still under way")
        if hit and self.kind == "replaced":
            self.is_watching = False
            self.meanwhile()
            self.is_watching = True
        answer = act()
        if hit and self.kind == "crash after":
            self.is_dead = True
            raise Crash
        if hit and self.kind == "lost answer":
            raise UnreachableError("the answer was lost")
        return answer


FATE = Fate()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Report changes of the disk to `FATE`."""
    if not FATE.is_watching:
        return
    if event == "open":
        path, _mode, flags = arguments
        if isinstance(path, str | bytes) and flags is not None and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            FATE.disk(os.fsdecode(path))
    elif event in CHANGES and not isinstance(arguments[0], int):
        FATE.disk(os.fsdecode(arguments[0]))


@functools.cache
def install() -> None:
    """Audit this process. This cannot be undone; it does nothing while no machine runs."""
    sys.addaudithook(_audit)


class Fragile:
    """A catalogue whose calls can each meet a fault."""

    def __init__(self, inner: InMemoryCatalogue) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the catalogue can do
        method = getattr(self._inner, name)
        if name == "find":
            return method

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            args = tuple(list(each) if hasattr(each, "__next__") else each for each in args)
            return FATE.call(lambda: method(*args, **kwargs))

        return call
