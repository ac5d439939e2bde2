"""A real Rucio with an account for each role."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.embedded import READER, ROOT
from ctao_bdms.embedded.namespace import retire_scopes
from ctao_rucio_policy.roles import CENTRE_ATTRIBUTE, ROLE_ATTRIBUTE, Role
from tests.embedded.accounts import acting_as, config
from tests.embedded.permissions.scene import BYTES, CSCS, ONSITE, PIC, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.embedded import Instance


@pytest.fixture(scope="module")
def world(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, mark = tmp_path_factory.mktemp("accounts"), secrets.token_hex(3)
    template = embedded_rucio_instance.client_config(READER)
    with ExitStack() as stack:
        root = stack.enter_context(acting_as(embedded_rucio_instance.client_config(ROOT)))
        accounts, names, scopes = {}, {}, {}
        for role in Role:
            name = names[role] = f"{role.value}-{mark}"
            scope = scopes[role] = f"p{mark}-{role.value}"
            root("add_account", name, "USER", f"{name}@localhost")
            root("add_identity", name, name, "USERPASS", f"{name}@localhost", True, "secret")
            if role is not Role.READER:
                root("add_account_attribute", name, ROLE_ATTRIBUTE, role.value)
            if role is Role.OPERATOR:
                root("add_account_attribute", name, CENTRE_ATTRIBUTE, "PIC")
            for rse in (ONSITE, PIC, CSCS):
                root("set_local_account_limit", name, rse, BYTES)
            root("add_scope", name, scope)
            accounts[role] = stack.enter_context(acting_as(config(template, folder, name)))
        foreign = f"p{mark}-foreign"
        root("add_scope", "root", foreign)
        yield World(root, accounts, names, scopes, foreign)
    # Their files have no bytes: Rucio would go on trying to copy them while other tests wait for copies of theirs.
    retire_scopes(embedded_rucio_instance.home.path, [*scopes.values(), foreign])
