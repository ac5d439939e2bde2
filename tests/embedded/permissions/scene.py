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
    """A real Rucio, with an account for each role, which owns a scope of its own."""

    root: Account
    accounts: Mapping[Role, Account]
    names: Mapping[Role, str]
    scopes: Mapping[Role, str]
    foreign: str


@attrs.frozen
class Scene:
    """A role, and whether the condition of its cell shall be met."""

    world: World
    role: Role
    met: bool

    def call(self, method: str, *arguments: object, **keywords: object) -> None:
        for _ in range(3):
            try:
                self.world.accounts[self.role](method, *arguments, **keywords)
            except RefusedError as error:
                # how Rucio calls any error of the database, as when a daemon works on the same rows
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
        """The account's own scope, if it shall own it."""
        return self.own if self.met else self.world.foreign

    @property
    def derived(self) -> str:
        """The same for derived data: what the ingest service owns is raw."""
        return self.world.foreign if self.role is Role.INGEST else self.scope

    def name(self, scope: str, level: str) -> dict[str, str]:
        return {"scope": scope, "name": f"/ctao/{scope}/{level}/{secrets.token_hex(6)}"}

    def file(self, scope: str, level: str, *rses: str) -> dict[str, Any]:
        """Return a file, registered by the administrator where it says."""
        file = self.name(scope, level)
        for rse in rses:
            self.world.root("add_replicas", rse, [file | {"bytes": 1, "adler32": "00000001"}])
        return file

    def new_file(self, scope: str, level: str) -> dict[str, Any]:
        return self.name(scope, level) | {"bytes": 1, "adler32": "00000001"}

    def dataset(self, scope: str, level: str, *rses: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Return a dataset and the file in it."""
        dataset, file = self.name(scope, level), self.file(scope, level, *(rses or (ONSITE,)))
        self.world.root("add_did", dataset["scope"], dataset["name"], "DATASET")
        self.world.root("attach_dids", dataset["scope"], dataset["name"], [file])
        return dataset, file

    def held(self, scope: str, level: str, *rses: str) -> dict[str, Any]:
        """Return a file that rules without end hold at storage elements."""
        file = self.file(scope, level, *rses)
        for rse in rses:
            self.rule(file, rse, "root")
        return file

    def holding(self, scope: str, rse: str) -> tuple[dict[str, str], dict[str, Any], str]:
        """Return a dataset of derived data with a raw file in it, which nothing holds but the rule on the dataset."""
        dataset, file = self.name(scope, "DL3"), self.file(self.world.foreign, "DL0", rse)
        self.world.root("add_did", dataset["scope"], dataset["name"], "DATASET")
        self.world.root("attach_dids", dataset["scope"], dataset["name"], [file])
        return dataset, file, self.rule(dataset, rse, self.account)

    def declared_bad(self) -> dict[str, Any]:
        """Return a file with two copies, of which the one at PIC has just been declared bad."""
        file = self.held(self.own, "DL0", PIC, CSCS)
        self.world.root("declare_bad_file_replicas", [file | {"rse": PIC}], "a test")
        return file

    def rule(self, did: object, expression: str, account: str, copies: int = 1, **keywords: object) -> str:
        """Return a rule that the administrator made for an account."""
        made = self.world.root("add_replication_rule", [did], copies, expression, account=account, **keywords)
        return str(made[0])


def place(s: Scene, file: dict[str, Any], rse: str) -> str:
    """Return where a copy lies."""
    (found,) = s.world.root("list_replicas", [file], all_states=True)
    return str(found["rses"][rse][0])
