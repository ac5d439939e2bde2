"""What a client of the grid shows to a storage, where the conventions of the grid say that it lies."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bearer_token", "tls_context"]


def bearer_token(environment: Mapping[str, str] = os.environ) -> str:
    """Return the token of the user, or nothing.

    ``BEARER_TOKEN``, the file ``BEARER_TOKEN_FILE``, or ``bt_u<uid>`` in ``XDG_RUNTIME_DIR`` or ``/tmp``, as the
    discovery of bearer tokens of the WLCG has it.
    """
    if token := environment.get("BEARER_TOKEN", "").strip():
        return token
    places = [environment.get("BEARER_TOKEN_FILE", "")]
    places += [f"{folder}/bt_u{os.getuid()}" for folder in (environment.get("XDG_RUNTIME_DIR"), "/tmp") if folder]
    for place in filter(None, places):
        try:
            status = Path(place).stat()
            if status.st_uid == os.getuid() or place == places[0]:
                return Path(place).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def tls_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return how servers are checked, and what is shown to them.

    Beside the authorities of the system those of ``X509_CERT_DIR`` are trusted; the proxy ``X509_USER_PROXY`` is shown.
    """
    context = ssl.create_default_context()
    if folder := environment.get("X509_CERT_DIR", ""):
        context.load_verify_locations(capath=folder)
    proxy = environment.get("X509_USER_PROXY", "")
    if proxy and Path(proxy).is_file():
        context.load_cert_chain(proxy)
    return context
