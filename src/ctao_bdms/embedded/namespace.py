"""Create scopes in a running embedded Rucio, and retire them."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from ctao_bdms.embedded.database.inspection import libpq
from ctao_bdms.embedded.home import Home
from ctao_bdms.embedded.rucio.configuration import SCHEMA
from ctao_bdms.embedded.state import State
from ctao_bdms.embedded.topology import INGEST, ROOT, VO
from ctao_bdms.errors import ConflictError, EmbeddedError, NotRunningError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["add_scope", "retire_scopes"]

_TIMEOUT_S = 60.0


def add_scope(home: str | Path, scope: str) -> str:
    """Create a scope of the ingest account, with its container in the tree.

    Parameters
    ----------
    home
        The home of a running embedded Rucio.
    scope
        The name of the scope: lower case letters, digits, ``-`` and ``_``, at most 25 characters.

    Returns
    -------
    str
        The name of the container, ``/ctao/<scope>``; it is attached to ``root:/ctao``.

    Raises
    ------
    ConflictError
        If the scope exists.
    EmbeddedError
        If the server refuses, for instance because the name is invalid.
    NotRunningError
        If no embedded Rucio answers.
    """
    place = Home(home)
    state = State.load(place.state_file)
    if state is None or not state.server_port:
        raise NotRunningError(place.path)
    top, name = f"/{VO}", f"/{VO}/{scope}"
    connection = http.client.HTTPConnection("127.0.0.1", state.server_port, timeout=_TIMEOUT_S)
    try:
        root, ingest = (_log_in(connection, account, state.passwords[account]) for account in (ROOT, INGEST))
        _post(connection, root, f"/scopes/{INGEST}/{quote(scope, safe='')}", None)
        _post(connection, ingest, f"/dids/{scope}/{quote(name, safe='')}", {"type": "CONTAINER"})
        members = {"dids": [{"scope": scope, "name": name}]}
        _post(connection, root, f"/dids/{ROOT}/{quote(top, safe='')}/dids", members)
    except ConnectionRefusedError as error:
        raise NotRunningError(place.path) from error
    finally:
        connection.close()
    return name


def retire_scopes(home: str | Path, scopes: Sequence[str]) -> None:
    """Suspend all rules and transfers in scopes, and hide the scopes from daemons.

    Rucio and the daemons of BDMS would go on with copies that nobody needs any more. To end the rules would have Rucio
    delete each of their replicas, which costs more.

    Parameters
    ----------
    home
        The home of a running embedded Rucio.
    scopes
        The names of the scopes; a scope that does not exist is ignored.

    Raises
    ------
    NotRunningError
        If no embedded Rucio runs there.
    """
    import psycopg

    place = Home(home)
    state = State.load(place.state_file)
    if state is None:
        raise NotRunningError(place.path)
    with psycopg.connect(libpq(state.sqlalchemy_url(place.socket))) as connection:
        for change in (
            "update {0}.scopes set status = 'D' where scope = any(%s)",
            "update {0}.rules set state = 'U' where scope = any(%s)",
            # To delete the requests would meet sources that the conveyor notes at the same time.
            "update {0}.requests set state = 'U' where scope = any(%s)",
        ):
            connection.execute(change.format(SCHEMA), (list(scopes),))


def _log_in(connection: http.client.HTTPConnection, account: str, password: str) -> str:
    """Return a token of `account`."""
    headers = {"X-Rucio-Account": account, "X-Rucio-Username": account, "X-Rucio-Password": password}
    connection.request("GET", "/auth/userpass", headers=headers)
    answer = connection.getresponse()
    answer.read()
    token = answer.headers["X-Rucio-Auth-Token"]
    if answer.status != http.HTTPStatus.OK or token is None:
        msg = f"login of {account} to the embedded Rucio failed (HTTP {answer.status})"
        raise EmbeddedError(msg)
    return str(token)


def _post(connection: http.client.HTTPConnection, token: str, path: str, document: object) -> None:
    """Create an object on the server."""
    body = "" if document is None else json.dumps(document)
    headers = {"X-Rucio-Auth-Token": token, "Content-Type": "application/json"}
    connection.request("POST", path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace").strip()
    if answer.status == http.HTTPStatus.CONFLICT:
        msg = f"it already exists in the embedded Rucio: {text}"
        raise ConflictError(msg)
    if answer.status != http.HTTPStatus.CREATED:
        msg = f"the embedded Rucio rejected POST {path} (HTTP {answer.status}): {text}"
        raise EmbeddedError(msg)
