"""Credentials of a grid client, from their conventional places."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bearer_token", "tls_context"]

_TOKEN = re.compile("[!-~]*", re.ASCII)


def bearer_token(environment: Mapping[str, str] = os.environ) -> str:
    """Return the token of the user, or nothing.

    ``BEARER_TOKEN``, the file ``BEARER_TOKEN_FILE``, or ``bt_u<uid>`` in ``XDG_RUNTIME_DIR`` or ``/tmp``, as the
    discovery of bearer tokens of the WLCG has it.

    Raises
    ------
    CredentialsError
        If what is found is no token.
    """
    if token := environment.get("BEARER_TOKEN", "").strip():
        return _one_word(token, "BEARER_TOKEN")
    places = [environment.get("BEARER_TOKEN_FILE", "")]
    places += [f"{folder}/bt_u{os.getuid()}" for folder in (environment.get("XDG_RUNTIME_DIR"), "/tmp") if folder]
    for place in filter(None, places):
        try:
            status = Path(place).stat()
            if status.st_uid == os.getuid() or place == places[0]:
                return _one_word(Path(place).read_text(encoding="ascii").strip(), place)
        except CredentialsError:
            raise
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def _one_word(token: str, where: str) -> str:
    """Return a token; what is none is not shown, since it may hold one."""
    if not _TOKEN.fullmatch(token):
        raise CredentialsError(where, "holds no token: it must be one word of ASCII; get a new one, or remove it")
    return token


def tls_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return how servers are checked, and what is shown to them.

    Beside the authorities of the system those of ``X509_CERT_DIR`` are trusted; the proxy ``X509_USER_PROXY`` is shown.

    Raises
    ------
    CredentialsError
        If the proxy cannot be used.
    """
    context = ssl.create_default_context()
    if folder := environment.get("X509_CERT_DIR", ""):
        context.load_verify_locations(capath=folder)
    proxy = environment.get("X509_USER_PROXY", "")
    if proxy and Path(proxy).is_file():
        try:
            context.load_cert_chain(proxy, password="")  # nobody is there to be asked for one
        except OSError as error:
            wrong = "cannot be read" if not isinstance(error, ssl.SSLError) else "holds no certificate with an open key"
            raise CredentialsError(
                f"X509_USER_PROXY, {proxy},", f"{wrong} ({error.strerror}); make a new proxy, or unset the variable"
            ) from error
    return context
