"""Read the address, the status and the rates of a running daemon."""

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
from ctao_bdms.proxies import proxy_of, spare_loopback

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RateMeter", "Rates", "fetch_status", "read_address"]

_TIMEOUT_S = 5.0
#: The time window of the rates, in seconds.
_SPAN_S = 15.0


def read_address(file: Path) -> str:
    """Return the URL in the address file of a running daemon.

    Raises
    ------
    UnreachableError
        If there is no such file: no daemon is running.
    """
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise UnreachableError(f"no daemon runs: there is no {file}") from error


def fetch_status(url: str) -> dict[str, Any]:
    """Fetch the status of a daemon.

    Parameters
    ----------
    url
        The URL of the daemon, such as ``http://127.0.0.1:9465``.

    Raises
    ------
    UsageError
        If `url` is not an HTTP URL.
    UnreachableError
        If no ingestion daemon answers.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError(f"{url} is no address of a daemon; it is written as http://127.0.0.1:9465")
    spare_loopback()
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/status", timeout=_TIMEOUT_S) as answer:
            said = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        way = f", through the proxy {proxy}" if (proxy := proxy_of(url)) else ""
        raise UnreachableError(f"the daemon at {url} does not answer{way}: {reason}") from error
    if not isinstance(said, dict):
        raise UnreachableError(f"what answers at {url} is no ingestion daemon")
    return said


@attrs.frozen(kw_only=True)
class Rates:
    """The rates of a daemon.

    Attributes
    ----------
    files_per_s, bytes_per_s
        By step: ``scanned``, ``registered``, ``replicated``; None if not yet known.
    """

    files_per_s: Mapping[str, float | None]
    bytes_per_s: Mapping[str, float | None]


class RateMeter:
    """Compute rates from successive totals."""

    #: The steps with a rate.
    STEPS = ("scanned", "registered", "replicated")

    def __init__(self) -> None:
        self._seen: deque[tuple[float, tuple[object, object], Mapping[str, float]]] = deque()

    def rates(self, now_s: float, said: Mapping[str, Any]) -> Rates:
        """Add a status of the daemon, and return the rates over the last seconds.

        Parameters
        ----------
        now_s
            The time by any monotonic clock, in seconds.
        said
            The result of `fetch_status`. The status of another process resets the meter.
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
