"""A running daemon as others see it: where it answers, what it says, and how fast it goes."""

from __future__ import annotations

import json
import urllib.request
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlsplit

import attrs

from ctao_bdms.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RateMeter", "Rates", "fetch_status", "read_address"]

_TIMEOUT_S = 5.0
#: Over how many seconds rates are taken.
_SPAN_S = 15.0


def read_address(file: Path) -> str:
    """Return the URL that a running daemon has written into its address file.

    Raises
    ------
    UnreachableError
        If there is no such file: no daemon runs there.
    """
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise UnreachableError(f"no daemon runs: there is no {file}") from error


def fetch_status(url: str) -> dict[str, Any]:
    """Return what a daemon says of itself.

    Parameters
    ----------
    url
        Where it answers, ``http://127.0.0.1:9465``.

    Raises
    ------
    UsageError
        If `url` is none of HTTP.
    UnreachableError
        If nothing answers there, or something that is no daemon of ours.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError(f"{url} is no address of a daemon; it is written as http://127.0.0.1:9465")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/status", timeout=_TIMEOUT_S) as answer:
            said = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"the daemon at {url} does not answer: {reason}") from error
    if not isinstance(said, dict):
        raise UnreachableError(f"what answers at {url} is no ingestion daemon")
    return said


@attrs.frozen(kw_only=True)
class Rates:
    """How fast a daemon goes; None if it is not known yet.

    Attributes
    ----------
    files_per_s, bytes_per_s
        By step: ``scanned``, ``registered``, ``replicated``.
    """

    files_per_s: Mapping[str, float | None]
    bytes_per_s: Mapping[str, float | None]


class RateMeter:
    """Takes rates from totals that are seen now and then."""

    #: The steps whose rates are taken.
    STEPS = ("scanned", "registered", "replicated")

    def __init__(self) -> None:
        self._seen: deque[tuple[float, tuple[object, object], Mapping[str, float]]] = deque()

    def rates(self, now_s: float, said: Mapping[str, Any]) -> Rates:
        """Take note of what a daemon has said, and return its rates over the last seconds.

        Parameters
        ----------
        now_s
            The time, by any clock that only goes on, in seconds.
        said
            The answer of `fetch_status`. One of another process begins anew.
        """
        process, totals = (said.get("pid"), said.get("since")), said.get("totals", {})
        if self._seen and self._seen[-1][1] != process:
            self._seen.clear()
        self._seen.append((now_s, process, totals))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - _SPAN_S:
            self._seen.popleft()
        return Rates(
            files_per_s={step: self._rate(f"{step}_files_total") for step in self.STEPS},
            bytes_per_s={step: self._rate(f"{step}_bytes_total") for step in self.STEPS},
        )

    def _rate(self, name: str) -> float | None:
        (begin_s, _, first), (end_s, _, last) = self._seen[0], self._seen[-1]
        if end_s <= begin_s:
            return None
        return float(last.get(name, 0.0) - first.get(name, 0.0)) / (end_s - begin_s)
