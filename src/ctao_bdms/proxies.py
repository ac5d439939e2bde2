"""Proxies of the environment: loopback never goes through one, and errors name the one that is used."""

from __future__ import annotations

import os
from urllib.request import getproxies_environment

__all__ = ["proxy_of", "spare_loopback"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def spare_loopback() -> None:
    """Exempt loopback addresses from the proxies of this process and its children, if the environment has proxies.

    Nothing on this machine is reached through a proxy elsewhere, but many institutes set ``http_proxy`` without
    ``no_proxy``.
    """
    proxies = getproxies_environment()
    spared = [word.strip() for word in proxies.pop("no", "").split(",") if word.strip()]
    if proxies and "*" not in spared:
        # Programs read one or the other; who reads both prefers lower case.
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*spared, *_LOOPBACK]))


def proxy_of(url: str) -> str:
    """Return the proxy by which a URL is reached, without its credentials; empty if there is none.

    Examples
    --------
    >>> import os
    >>> os.environ["https_proxy"] = "http://me:secret@proxy.example.org:3128"
    >>> proxy_of("https://rucio.example.org/ping")
    'http://proxy.example.org:3128'
    >>> del os.environ["https_proxy"]
    >>> proxy_of("https://rucio.example.org/ping")
    ''
    """
    from requests.utils import get_environ_proxies, select_proxy

    scheme, mark, place = (select_proxy(url, get_environ_proxies(url)) or "").rpartition("://")
    return f"{scheme}{mark}{place.rpartition('@')[2]}"
