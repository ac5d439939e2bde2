"""A real Rucio as the copy machine uses it: accounts of every role, the database and the disks."""

from __future__ import annotations

import secrets
import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psycopg

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import INGEST, READER, ROOT, Instance
from ctao_bdms.embedded.state import State
from ctao_bdms.embedded.topology import WMS
from ctao_bdms.model import Lfn
from ctao_bdms.naming import path_of_lfn
from ctao_rucio_policy.roles import CENTRE_ATTRIBUTE, ROLE_ATTRIBUTE, Role
from tests.embedded.accounts import Account, acting_as, config

if TYPE_CHECKING:
    from collections.abc import Iterator

ONSITE, PIC, CSCS = RSES = ("CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK")

#: Replicas of a file: where, whether available, whether nothing can free it, whether a rule without end holds it.
_REPLICAS = """
select rses.rse, replicas.state = 'A', replicas.lock_cnt > 0 or replicas.tombstone is null, exists (
  select from rucio.locks join rucio.rules on rules.id = locks.rule_id
  where locks.scope = replicas.scope and locks.name = replicas.name and locks.rse_id = replicas.rse_id
  and locks.state = 'O' and rules.expires_at is null)
from rucio.replicas join rucio.rses on rses.id = replicas.rse_id
join rucio.dids on dids.scope = replicas.scope and dids.name = replicas.name
where replicas.scope = %s and replicas.name = %s and not exists (
  select from rucio.rse_attr_map where rse_attr_map.rse_id = rses.id and key = 'lost' and value <> '')
"""


@attrs.define
class World:
    """A real Rucio with an account of each role, which owns a scope, and with its database and its disks."""

    instance: Instance
    catalogue: RucioCatalogue
    accounts: Mapping[str, Account]
    names: Mapping[str, str]
    scopes: Mapping[str, str]
    database: psycopg.Connection[Any]
    #: Answers to calls, by role, call and kind.
    answers: Counter[tuple[str, str, str]] = attrs.Factory(Counter)

    @property
    def root(self) -> Account:
        return self.accounts["root"]

    def path(self, rse: str, name: str) -> Path:
        return Path(path_of_lfn(Lfn(name), self.instance.storage(rse)))

    def write(self, rse: str, name: str, content: bytes) -> None:
        path = self.path(rse, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def sound(self, file: tuple[str, str], content: bytes) -> list[tuple[str, bool, bool]]:
        """Return the copies with the right bytes at places that are not lost: where, whether kept, whether held."""
        rows = self.database.execute(_REPLICAS, file).fetchall()
        return [
            (rse, kept, held)
            for rse, is_available, kept, held in rows
            if is_available and (path := self.path(rse, file[1])).exists() and path.read_bytes() == content
        ]


@contextmanager
def open_world(instance: Instance, folder: Path) -> Iterator[World]:
    """Add an account of each role with a scope of its own; write their configurations into a folder."""
    mark = secrets.token_hex(3)
    state = State.load(instance.home.state_file)
    assert state is not None
    url = state.sqlalchemy_url(instance.home.socket).replace("+psycopg", "")
    with ExitStack() as stack:
        database = stack.enter_context(psycopg.connect(url, autocommit=True))
        root = stack.enter_context(acting_as(instance.client_config(ROOT)))
        accounts, names, scopes = {"root": root}, {"root": ROOT}, {}
        for role in Role:
            name = names[role] = {Role.INGEST: INGEST, Role.WMS: WMS}.get(role, f"{role.value}-{mark}")
            if role in {Role.INGEST, Role.WMS}:
                accounts[role] = stack.enter_context(acting_as(instance.client_config(name)))
                continue
            root("add_account", name, "USER", f"{name}@localhost")
            root("add_identity", name, name, "USERPASS", f"{name}@localhost", True, "secret")
            root("add_account_attribute", name, ROLE_ATTRIBUTE, role.value)
            if role is Role.OPERATOR:
                root("add_account_attribute", name, CENTRE_ATTRIBUTE, "PIC")
            for rse in RSES:
                root("set_local_account_limit", name, rse, 10**12)
            accounts[role] = stack.enter_context(acting_as(config(instance.client_config(READER), folder, name)))
        for actor, name in names.items():
            scopes[actor] = f"c{mark}-{actor}"
            root("add_scope", name, scopes[actor])
        catalogue = RucioCatalogue.connect(instance.client_config())
        yield World(instance, catalogue, accounts, names, scopes, database)


def row(did: tuple[str, str]) -> dict[str, str]:
    """Return a data identifier as Rucio's client takes it."""
    return {"scope": did[0], "name": did[1]}


def replica(did: tuple[str, str], content: bytes) -> dict[str, Any]:
    """Return a file as Rucio's client registers it."""
    return row(did) | {"bytes": len(content), "adler32": f"{zlib.adler32(content):08x}"}
