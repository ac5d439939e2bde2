"""Create and fill Rucio's tables at the first start; update them at later starts.

This works below Rucio's permissions, in a separate process, because Rucio's function that builds the schema
reconfigures the logging of its process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.embedded.rucio.protocols import protocols
from ctao_bdms.embedded.topology import ACCOUNTS, ROOT, RSES, SCOPES, VO, Account, StorageElement

if TYPE_CHECKING:
    from typing import Any

    from ctao_bdms.embedded.home import Home
    from ctao_bdms.embedded.state import State

__all__ = ["build", "refresh"]

_UNLIMITED = -1


def build(home: Home, state: State) -> None:
    """Create the schema, the metadata plugin's tables, and the topology."""
    from rucio.db.sqla.util import build_database, create_base_vo

    from ctao_bdms.server.migration import migrate

    build_database()
    create_base_vo()
    migrate()
    _populate(home, state)


def _populate(home: Home, state: State) -> None:
    """Add storage elements, accounts, scopes and the top containers, in one transaction."""
    from rucio.common.types import InternalAccount, InternalScope
    from rucio.core.did import add_did
    from rucio.core.distance import add_distance
    from rucio.core.scope import add_scope
    from rucio.db.sqla.constants import DatabaseOperationType, DIDType
    from rucio.db.sqla.session import db_session

    with db_session(DatabaseOperationType.WRITE) as session:
        ids = [_add_rse(home, state, element, session) for element in RSES.values()]
        for source in ids:
            for destination in ids:
                if source != destination:
                    add_distance(source, destination, distance=1, session=session)
        _add_account(ACCOUNTS[ROOT], state, ids, session)
        root, top = InternalAccount(ROOT), InternalScope(ROOT)
        add_scope(top, root, session=session)
        add_did(top, f"/{VO}", DIDType.CONTAINER, root, session=session)
        _add_missing(state, ids, session)


def _add_missing(state: State, rse_ids: list[str], session: Any) -> None:  # noqa: ANN401 (Rucio has no types)
    """Add missing accounts and scopes: a home of an earlier version has fewer."""
    from rucio.common.types import InternalAccount, InternalScope
    from rucio.core.account import account_exists
    from rucio.core.did import add_did, attach_dids
    from rucio.core.scope import add_scope, check_scope
    from rucio.db.sqla.constants import DIDType

    for account in ACCOUNTS.values():
        if not account_exists(InternalAccount(account.name), session=session):
            _add_account(account, state, rse_ids, session)
    for name, owner in SCOPES.items():
        scope = InternalScope(name)
        if not check_scope(scope, session=session):
            add_scope(scope, InternalAccount(owner), session=session)
            add_did(scope, f"/{VO}/{name}", DIDType.CONTAINER, InternalAccount(owner), session=session)
            children = [{"scope": scope, "name": f"/{VO}/{name}"}]
            attach_dids(InternalScope(ROOT), f"/{VO}", children, InternalAccount(ROOT), session=session)


def _add_account(account: Account, state: State, rse_ids: list[str], session: Any) -> None:  # noqa: ANN401 (no types)
    """Add an account with its password, role and quotas."""
    from rucio.common.types import InternalAccount
    from rucio.core.account import add_account, add_account_attribute
    from rucio.core.account_limit import set_local_account_limit
    from rucio.core.identity import add_account_identity, add_identity
    from rucio.db.sqla.constants import AccountType, IdentityType

    userpass = IdentityType.USERPASS
    internal, mail = InternalAccount(account.name), f"{account.name}@localhost"
    add_account(internal, AccountType[account.kind], mail, session=session)
    add_identity(account.name, userpass, mail, password=state.passwords[account.name], session=session)
    add_account_identity(account.name, userpass, internal, mail, default=True, session=session)
    if account.role is not None:
        add_account_attribute(internal, "bdms-role", account.role, session=session)
    if account.unlimited:
        for rse_id in rse_ids:
            set_local_account_limit(internal, rse_id, _UNLIMITED, session=session)


def _add_rse(home: Home, state: State, element: StorageElement, session: Any) -> str:  # noqa: ANN401 (Rucio has no types)
    """Add a storage element and return its identifier."""
    from rucio.core.rse import add_protocol, add_rse, add_rse_attribute

    rse_id: str = add_rse(element.name, deterministic=True, session=session)
    for protocol in protocols(home, state, element):
        add_protocol(rse_id, protocol, session=session)
    for key, value in element.all_attributes(state.transfers_url).items():
        add_rse_attribute(rse_id, key, value, session=session)
    return rse_id


def refresh(home: Home, state: State) -> None:
    """Upgrade the metadata table, and update the paths and URLs of home, storage and transfer service.

    Requests in progress get the new URL of the transfer service.

    Raises
    ------
    SystemExit
        If the database has the schema of another Rucio version, or the metadata table cannot be upgraded.
    """
    from rucio.common.exception import DatabaseException
    from rucio.core.rse import get_rse_id
    from rucio.db.sqla import models
    from rucio.db.sqla.constants import DatabaseOperationType
    from rucio.db.sqla.session import db_session
    from rucio.db.sqla.util import is_old_db
    from sqlalchemy import update

    from ctao_bdms.server.migration import migrate

    if is_old_db():
        msg = "the database has the schema of another Rucio version; install that version, or choose another --home"
        raise SystemExit(msg)
    try:
        migrate()
    except DatabaseException as error:
        raise SystemExit(str(error)) from error
    attribute, protocol, request = models.RSEAttrAssociation, models.RSEProtocol, models.Request
    url = state.transfers_url
    with db_session(DatabaseOperationType.WRITE) as session:
        _add_missing(state, [get_rse_id(name, session=session) for name in RSES], session)
        for element in RSES.values():
            rse_id = get_rse_id(element.name, session=session)
            fts = update(attribute).where(attribute.rse_id == rse_id, attribute.key == "fts")
            session.execute(fts.values(value=url))
            for now in protocols(home, state, element):
                moved = update(protocol).where(protocol.rse_id == rse_id, protocol.scheme == now["scheme"])
                session.execute(moved.values(prefix=now["prefix"], port=now["port"]))
        session.execute(update(request).where(request.external_host.is_not(None)).values(external_host=url))
