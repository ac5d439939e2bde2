"""Who may delete metadata: Rucio 41.5 asks nobody, so the plugin does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
from rucio.common.exception import AccessDenied
from rucio.common.types import InternalAccount

if TYPE_CHECKING:
    from rucio.common.types import InternalScope
    from sqlalchemy.orm import Session

__all__ = ["require_right_to_change"]


def require_right_to_change(scope: InternalScope, name: str, key: str, session: Session) -> None:
    """Refuse if the account behind the REST request that is being served may not set `key`.

    Outside of a request there is no account to ask about: daemons and administrators' scripts may.

    Raises
    ------
    AccessDenied
        If it may not.
    """
    if not flask.has_request_context():
        return
    from rucio.core.permission import has_permission  # it imports the policy, which Rucio loads after its plugins

    issuer = flask.request.environ["issuer"]
    account = InternalAccount(issuer, vo=flask.request.environ["vo"])
    asked = {"scope": scope, "name": name, "key": key, "value": None}
    result = has_permission(issuer=account, action="set_metadata", kwargs=asked, session=session)
    if not result.allowed:
        msg = f"Account {issuer} can not delete metadata of {scope.external}:{name}. {result.message}"
        raise AccessDenied(msg)
