"""The watch on Rucio's locks sees what the reaper would delete."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psycopg

from ctao_bdms.embedded import ROOT
from tests.campaign.locks import LockWatch
from tests.embedded.accounts import acting_as

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance


def test_a_raw_copy_with_a_tombstone_and_no_lock_is_seen(embedded_rucio_instance: Instance) -> None:
    name = f"/ctao/acada/DL0/{secrets.token_hex(6)}"
    watch = LockWatch(embedded_rucio_instance)
    with acting_as(embedded_rucio_instance.client_config(ROOT)) as root:
        file = {"scope": "acada", "name": name, "bytes": 1, "adler32": "00000001"}
        root("add_replicas", "CTAO-NORTH-ONSITE", [file])
    assert watch.look()
    assert not [said for said in watch.said if name in said]
    with psycopg.connect(watch.url) as connection:
        # In the far future: the reaper leaves it alone, and the watch does not.
        connection.execute("update rucio.replicas set tombstone = '2100-01-01' where name = %s", [name])
    assert watch.look()
    assert [said for said in watch.said if f"{name}: no rule holds its copy at CTAO-NORTH-ONSITE" in said]
    with psycopg.connect(watch.url) as connection:
        connection.execute("update rucio.replicas set tombstone = null where name = %s", [name])
        connection.execute("update rucio.dids set availability = 'L' where name = %s", [name])
    assert watch.look()
    assert f"{name}: Rucio has given it up, L" in watch.said
    with psycopg.connect(watch.url) as connection:
        connection.execute(
            "update rucio.dids set availability = 'A', expired_at = '2100-01-01' where name = %s", [name]
        )
    assert watch.look()
    assert f"{name}: it ends at 2100-01-01 00:00:00" in watch.said
    with psycopg.connect(watch.url) as connection:
        connection.execute("update rucio.dids set expired_at = null where name = %s", [name])
