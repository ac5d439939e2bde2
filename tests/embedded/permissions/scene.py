"""Accounts of each role in a real Rucio, and the files, datasets and rules that they try to change."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import attrs

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import Account, RefusedError

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
BYTES = 10**12
DAY_S = 86400


@attrs.frozen
class World:
    """Accounts in a real Rucio: one for each role, each with a scope of its own."""

    root: Account
    accounts: Mapping[Role, Account]
    names: Mapping[Role, str]
    scopes: Mapping[Role, str]
    foreign: str


@attrs.frozen
class Scene:
    """A role that makes a call; `met` says whether the call meets the condition of its cell."""

    world: World
    role: Role
    met: bool

    def call(self, method: str, *arguments: object, **keywords: object) -> None:
        for _ in range(3):
            try:
                self.world.accounts[self.role](method, *arguments, **keywords)
            except RefusedError as error:
                # Rucio reports any database error so, as when one of its daemons locks the same rows
                if "Badly formatted rule id" not in str(error):
                    raise
            else:
                return
        raise AssertionError(f"{method} meets an error of the database each time")

    @property
    def account(self) -> str:
        return self.world.names[self.role]

    @property
    def own(self) -> str:
        return self.world.scopes[self.role]

    @property
    def scope(self) -> str:
        """The account's own scope if the condition is met, else one of another account."""
        return self.own if self.met else self.world.foreign

    @property
    def derived(self) -> str:
        """The same for derived data; the ingest service owns raw data only."""
        return self.world.foreign if self.role is Role.INGEST else self.scope

    def name(self, scope: str, level: str) -> dict[str, str]:
        return {"scope": scope, "name": f"/ctao/{scope}/{level}/{secrets.token_hex(6)}"}

    def file(self, scope: str, level: str, *rses: str) -> dict[str, Any]:
        """Register a new file at storage elements, as the administrator."""
        file = self.name(scope, level)
        for rse in rses:
            self.world.root("add_replicas", rse, [file | {"bytes": 1, "adler32": "00000001"}])
        return file

    def new_file(self, scope: str, level: str) -> dict[str, Any]:
        return self.name(scope, level) | {"bytes": 1, "adler32": "00000001"}

    def dataset(self, scope: str, level: str, *rses: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Make a dataset with one file, as the administrator."""
        dataset, file = self.name(scope, level), self.file(scope, level, *(rses or (ONSITE,)))
        self.world.root("add_did", dataset["scope"], dataset["name"], "DATASET")
        self.world.root("attach_dids", dataset["scope"], dataset["name"], [file])
        return dataset, file

    def block(self, scope: str, retention: str = "permanent") -> dict[str, str]:
        """Make a block with one file and no manifest, as the administrator."""
        name = f"/ctao/{scope}/blocks/CTAO-North/2026/11/21/{retention}-20261121T220000-{secrets.token_hex(4)}"
        block = {"scope": scope, "name": name}
        self.world.root("add_did", scope, name, "DATASET")
        self.world.root("attach_dids", scope, name, [self.file(scope, "DL0", ONSITE)])
        return block

    def held(self, scope: str, level: str, *rses: str) -> dict[str, Any]:
        """Make a file with a rule without end at each storage element."""
        file = self.file(scope, level, *rses)
        for rse in rses:
            self.rule(file, rse, "root")
        return file

    def holding(self, scope: str, rse: str) -> tuple[dict[str, str], dict[str, Any], str]:
        """Make a dataset of derived data with a raw file that only the rule on the dataset holds."""
        dataset, file = self.name(scope, "DL3"), self.file(self.world.foreign, "DL0", rse)
        self.world.root("add_did", dataset["scope"], dataset["name"], "DATASET")
        self.world.root("attach_dids", dataset["scope"], dataset["name"], [file])
        return dataset, file, self.rule(dataset, rse, self.account)

    def declared_bad(self) -> dict[str, Any]:
        """Make a file with two copies, and declare the one at PIC bad."""
        file = self.held(self.own, "DL0", PIC, CSCS)
        self.world.root("declare_bad_file_replicas", [file | {"rse": PIC}], "a test")
        return file

    def rule(self, did: object, expression: str, account: str, copies: int = 1, **keywords: object) -> str:
        """Make a rule of an account, as the administrator."""
        made = self.world.root("add_replication_rule", [did], copies, expression, account=account, **keywords)
        return str(made[0])


def place(s: Scene, file: dict[str, Any], rse: str) -> str:
    """Return the PFN of a replica."""
    (found,) = s.world.root("list_replicas", [file], all_states=True)
    return str(found["rses"][rse][0])
