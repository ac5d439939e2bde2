"""The catalogue on a Rucio server."""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import TYPE_CHECKING, Any

import attrs
from rucio.common import exception as rucio_exception
from rucio.common.utils import date_to_str

from ctao_bdms.catalogue.port import Catalogue
from ctao_bdms.catalogue.rucio import answers, transfers
from ctao_bdms.catalogue.rucio.convert import converted
from ctao_bdms.catalogue.rucio.login import Login
from ctao_bdms.catalogue.rucio.search import Search
from ctao_bdms.errors import BlockClosedError, ConflictError, InvalidNameError, NotFoundError, UnknownRseError
from ctao_bdms.model import (
    DEFAULT_ACTIVITY,
    METADATA,
    ArchivedFile,
    Attempt,
    Block,
    Did,
    FirstRule,
    Lfn,
    Product,
    Registration,
    Rse,
    Rule,
)
from ctao_bdms.naming import ROOT_SCOPE, BlockName, Directory, directories_of, is_beside_tree, scope_of
from ctao_bdms.overriding import override
from ctao_bdms.processes import PerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import requests
    from rucio.client.client import Client

    from ctao_bdms.catalogue.metadata_query import MetadataQuery
    from ctao_bdms.model import Value

__all__ = ["RucioCatalogue"]

_LOG = logging.getLogger(__name__)
#: The most identifiers in one request, by Rucio's schema.
_BULK = 1000
#: The states of an unfulfilled rule in Rucio's tables: replicating, stuck, waiting, injected, suspended.
_UNFULFILLED = ("R", "S", "W", "I", "U")
#: The most that the clock of a client may be ahead of the server's.
_CLOCKS_DIFFER = dt.timedelta(days=1)
#: The cost of a request, in rows of an answer, and the number of new rules per day: both choose the cheaper request.
_ROWS_A_QUESTION, _RULES_A_DAY = 30, 1500


class RucioCatalogue(Catalogue):
    """The catalogue on a Rucio server.

    Directories that exist are cached, and for a while the storage elements. Instances are thread-safe. In another
    process, after a fork or a pickle, an instance makes its own connection at the first use; a pickle has the path of
    the configuration, the account and the settings, and no secret.
    """

    def __init__(self, login: Login, remember_s: float = 300.0) -> None:
        self._login = login
        self._remember_s = remember_s
        self._rses: Mapping[str, Rse] = {}
        self._rses_until_s = 0.0
        self._known: set[Did] = set()
        self._client = PerProcess(self._connected)
        self._hooks: list[Callable[..., None]] = []
        self._search = Search(lambda: self.client)

    @classmethod
    def connect(
        cls, config: Path | None = None, *, timeout_s: float = 600.0, remember_s: float = 300.0
    ) -> RucioCatalogue:
        """Connect to the server of a Rucio configuration file.

        Rucio reads one configuration for the whole process, from the file in ``RUCIO_CONFIG``; `config` becomes that
        file.

        Parameters
        ----------
        config
            The client's ``rucio.cfg``; by default the one that Rucio finds.
        timeout_s
            The time in seconds after which a silent server counts as unreachable.
        remember_s
            How long the storage elements are cached, in seconds.

        Raises
        ------
        AuthenticationError
            If the server does not accept the credentials.
        UnreachableError
            If the server does not answer.
        NotFoundError
            If there is no configuration.
        """
        login = Login.by(config, timeout_s=timeout_s)
        client = login.connect()
        catalogue = cls(attrs.evolve(login, account=str(client.account or ""), host=str(client.host)), remember_s)
        catalogue._client.set(client)
        return catalogue

    @property
    def client(self) -> Client:
        """The Rucio client of this process, for calls that this class does not offer."""
        return self._client.get()

    def _connected(self) -> Client:
        client = self._login.connect()
        client.session.hooks["response"] += self._hooks
        return client

    def __reduce__(self) -> tuple[type[RucioCatalogue], tuple[Login, float]]:
        return RucioCatalogue, (self._login, self._remember_s)

    def __repr__(self) -> str:
        return f"RucioCatalogue({self._login.account} at {self._login.host})"

    def count_requests(self, hook: Callable[[requests.Response], None]) -> None:
        """Call `hook` with every response of the server from now on."""

        def answered(response: requests.Response, *_args: object, **_keywords: object) -> None:
            hook(response)

        self.client.session.hooks["response"].append(answered)
        self._hooks.append(answered)

    @override
    def scopes(self) -> Sequence[str]:
        with converted("listing the scopes"):
            names = [str(scope) for scope in self.client.list_scopes()]
        return sorted(name for name in names if name != ROOT_SCOPE and not name.startswith("user."))

    @override
    def rses(self) -> Mapping[str, Rse]:
        rses = self._rses
        if not rses or time.monotonic() >= self._rses_until_s:
            with converted("listing the storage elements"):
                rses = self._rses = {str(row["rse"]): self._rse(row) for row in self.client.list_rses()}
            self._rses_until_s = time.monotonic() + self._remember_s
        return rses

    def _rse(self, row: Mapping[str, Any]) -> Rse:
        name = str(row["rse"])
        attributes = self.client.list_rse_attributes(name)
        protocols = list(self.client.get_protocols(name))
        prefixes = {str(each["scheme"]): str(each["prefix"]).rstrip("/") for each in protocols}
        return Rse(
            name=name,
            prefix=prefixes.get("file", ""),
            site=str(attributes.get("site", "")),
            centre=str(attributes.get("centre", "")),
            tier=str(attributes.get("tier", "")),
            region=str(attributes.get("region", "")),
            share=float(attributes.get("share", 1.0)),
            is_readable=bool(row["availability_read"]),
            is_writable=bool(row["availability_write"]),
            changed=answers.aware(row["updated_at"]),
            verifies_transfers=answers.truth(attributes.get("verify_checksum", True)),
            lost=str(attributes.get("lost", "")),
            is_tape=answers.truth(attributes.get("tape")),
            is_full=answers.truth(attributes.get("full")),
            free_bytes=int(float(attributes["free_bytes"])) if "free_bytes" in attributes else None,
            write_url=answers.write_url(protocols),
        )

    @override
    def mark_lost(self, rse: str, reason: str) -> None:
        if rse not in self.rses():
            raise UnknownRseError(rse, self.rses())
        with converted(f"marking {rse} as {'lost' if reason else 'open'}"):
            if reason:
                self.client.add_rse_attribute(rse, "lost", reason)
            elif self.rses()[rse].lost:
                self.client.delete_rse_attribute(rse, "lost")
            self.client.update_rse(rse, {"availability_read": not reason, "availability_write": not reason})
        self._rses = {}

    @override
    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        found: dict[Lfn, ArchivedFile] = {}
        for chunk in _chunks([_row(lfn) for lfn in lfns]):
            with converted(f"looking up {len(chunk)} files"):
                # Sort at random: the default order looks up a geographical database for each file.
                rows = self.client.list_replicas(chunk, all_states=True, sort="random", resolve_parents=True)
                found.update((file.lfn, file) for file in map(answers.archived_file, rows))
        return found

    @override
    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        wanted = list(dict.fromkeys(names))
        found: dict[Lfn, ArchivedFile] = {}
        for chunk in _chunks([_row(name) for name in wanted]):
            with converted(f"looking up {len(chunk)} names"):
                # Sort at random: the default order looks up a geographical database for each file.
                rows = self.client.list_replicas(chunk, schemes=list(answers.SCHEMES), all_states=True, sort="random")
                found.update((file.lfn, file) for file in map(answers.archived_file, rows))
        above = {str(lfn)[:end] for lfn in found for end, sign in enumerate(str(lfn)) if sign == "/"}
        # The other names are blocks (their files have paths elsewhere), empty directories, or unknown.
        others = [name for name in wanted if name not in found and str(name) not in above]
        known: set[str] = set()
        for chunk in _chunks([_row(name) for name in others]):
            with converted(f"looking up {len(chunk)} names"):
                known.update(str(row["name"]) for row in self.client.get_metadata_bulk(chunk))
        if unknown := [str(name) for name in others if str(name) not in known]:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise NotFoundError(f"the archive does not know {', '.join(unknown[:5])}{more}")
        return found

    @override
    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        with converted(f"declaring the copy of {lfn} at {rse} bad"):
            refused = self.client.declare_bad_file_replicas([{**_row(lfn), "rse": rse}], reason)
        said = " ".join(str(text) for texts in refused.values() for text in texts)
        if said and "Already declared" not in said:
            raise NotFoundError(f"there is no copy of {lfn} at {rse}: {said}")

    @override
    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        file = self.files([lfn]).get(lfn)
        copy = file.at(rse) if file else None
        if copy is None or not copy.pfn:
            raise NotFoundError(f"there is no copy of {lfn} at {rse}")
        with converted(f"declaring the copy of {lfn} at {rse} suspicious"):
            self.client.declare_suspicious_file_replicas([copy.pfn], reason)

    @override
    def find(self, query: MetadataQuery) -> Iterator[Product]:
        return self._search.find(query)

    @override
    def tally(self, query: MetadataQuery, key: str = "") -> Mapping[Value | None, int]:
        return self._search.tally(query, key)

    @override
    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        tree = {d.did: d for lfn in lfns for d in directories_of(lfn) if d.did.scope != ROOT_SCOPE}
        new = [directory for did, directory in tree.items() if did not in self._known]
        if not new:
            return
        with converted(f"creating {len(new)} directories"):
            self._make_directories(new)
        self._known.update(directory.did for directory in new)

    @override
    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        tree = {d.did: d for lfn in lfns for d in directories_of(lfn) if d.did.scope != ROOT_SCOPE}
        new = [directory for did, directory in tree.items() if did not in self._known]
        with converted(f"looking up {len(new)} directories"):
            there = self._existing(new)
        return sorted(directory.did for directory in new if directory.did not in there)

    def _existing(self, directories: Sequence[Directory]) -> set[Did]:
        """Return those of `directories` that exist; a scope without any counts as missing."""
        there: set[Did] = set()
        for chunk in _chunks([_did_row(directory.did) for directory in directories]):
            there.update(Did(str(r["scope"]), str(r["name"])) for r in self.client.get_metadata_bulk(chunk))
        roots = [d for d in directories if d.parent is not None and d.parent.scope == ROOT_SCOPE and d.did not in there]
        if roots:
            scopes = ", ".join(sorted({directory.did.scope for directory in roots}))
            raise NotFoundError(
                f"scope {scopes} does not exist or has no directory; ask the archive administrator to create it"
            )
        return there

    def _make_directories(self, new: Sequence[Directory]) -> None:
        """Create the missing directories of `new`, then attach each to its parent, also those that existed before."""
        there = self._existing(new)
        missing = [
            {**_did_row(d.did), "type": "DATASET" if d.holds_files else "CONTAINER"} for d in new if d.did not in there
        ]
        for chunk in _chunks(missing):
            self.client.add_dids(chunk)
        children: dict[Did, list[dict[str, str]]] = {}
        for directory in new:
            if directory.parent is not None and directory.parent.scope != ROOT_SCOPE:
                children.setdefault(directory.parent, []).append(_did_row(directory.did))
        if children:
            attachments = [{**_did_row(parent), "dids": dids} for parent, dids in children.items()]
            self.client.attach_dids_to_dids(attachments, ignore_duplicate=True)

    @override
    def open_block(self, block: Did, rule: FirstRule | None = None) -> None:
        rules = [] if rule is None else [_rule_row(rule, self.client.account)]
        with converted(f"opening block {block}"):
            try:
                self.client.add_did(block.scope, block.name, "DATASET", rules=rules)
            except rucio_exception.DataIdentifierAlreadyExists:
                _LOG.debug("block %s exists", block)

    @override
    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        if rse not in self.rses():
            raise UnknownRseError(rse, self.rses())
        rows = [{**_row(f.lfn), "bytes": f.size_bytes, "adler32": f.adler32, **_meta(f)} for f in files]
        directories: dict[Did, list[dict[str, str]]] = {}
        for file in (file for file in files if not is_beside_tree(file.lfn)):
            directories.setdefault(directories_of(file.lfn)[-1].did, []).append(_row(file.lfn))
        attachments: list[dict[str, Any]] = [{**_did_row(block), "rse": rse, "dids": rows}]
        attachments += [{**_did_row(directory), "dids": members} for directory, members in directories.items()]
        try:
            with converted(f"registering {len(files)} files at {rse}"):
                self.client.attach_dids_to_dids(attachments, ignore_duplicate=True)
        except ConflictError as error:
            if f"'{block}' is closed" in str(error):
                raise BlockClosedError(str(error)) from error
            raise

    @override
    def close_block(self, block: Did) -> None:
        with converted(f"closing block {block}"):
            try:
                self.client.set_status(block.scope, block.name, open=False)
            except rucio_exception.UnsupportedOperation:
                _LOG.debug("block %s is closed already", block)

    @override
    def reopen_block(self, block: Did) -> None:
        with converted(f"opening block {block} again"):
            try:
                self.client.set_status(block.scope, block.name, open=True)
            except rucio_exception.UnsupportedOperation:
                _LOG.debug("block %s is open already", block)

    @override
    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        wanted = {"name": pattern}
        if opened_since is not None:  # Rucio can filter by creation time, but not by open or closed
            wanted["created_at.gte"] = f"{opened_since.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}"
        with converted(f"listing the blocks {pattern}"):
            names = sorted(self.client.list_dids(scope, [wanted], did_type="dataset"))
            rows = [
                row
                for chunk in _chunks([{"scope": scope, "name": name} for name in names])
                for row in self.client.get_metadata_bulk(chunk)
            ]
            blocks = [answers.block(row) for row in rows]
            # Rucio counts the files of a block when it closes it. A concurrent request may still have added files, so a
            # count of 0 can be wrong; and a block without files would get no rules.
            blocks = [block if block.is_open or block.n_files else self._counted(block) for block in blocks]
        return sorted(blocks, key=lambda block: block.did)

    @override
    def products_in(self, block: Did) -> Sequence[Product]:
        with converted(f"listing the files of {block}"):
            return sorted(self._search.products_in(block), key=lambda product: product.lfn)

    def _counted(self, block: Block) -> Block:
        """Return a block with the number and size of its current files."""
        files = list(self.client.list_files(block.did.scope, block.did.name))
        return attrs.evolve(block, n_files=len(files), size_bytes=sum(file["bytes"] for file in files))

    @override
    def fulfilled_since(self, since: dt.datetime) -> Mapping[Did, AbstractSet[str]]:
        changed: dict[Did, set[str]] = {}
        with converted("listing changed rules"):
            stamp = date_to_str(since.astimezone(dt.UTC))
            # "O" is the state OK in Rucio's tables; the filter accepts no other spelling.
            rows = self.client.list_replication_rules(filters={"updated_after": stamp, "state": "O"})
            for row in rows:
                changed.setdefault(Did(str(row["scope"]), str(row["name"])), set()).add(str(row["id"]))
        return changed

    @override
    def unfulfilled(self, scope: str) -> AbstractSet[Did]:
        with converted("listing unfulfilled rules"):
            return {
                Did(scope, str(row["name"]))
                for state in _UNFULFILLED
                for row in self.client.list_replication_rules(filters={"scope": scope, "state": state})
            }

    @override
    def rule(self, rule_id: str) -> Rule:
        with converted(f"reading rule {rule_id}"):
            return answers.rule(self.client.get_replication_rule(rule_id))

    @override
    def attempts(self, rule: Rule, looked_at: int) -> Sequence[Attempt]:
        with converted(f"reading the transfers of rule {rule.id}"):
            return transfers.attempts(self.client, rule, looked_at)

    @override
    def account(self) -> str:
        return str(self.client.account)

    @override
    def room(self, account: str = "") -> Mapping[str, float]:
        whose = account or self.client.account
        with converted(f"reading the quota of {whose}"):
            return transfers.room(self.client, whose)

    @override
    def kept(self, account: str = "") -> Mapping[str, int]:
        whose = account or self.client.account
        with converted(f"reading the usage of {whose}"):
            return transfers.kept(self.client, whose)

    @override
    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        wanted: dict[str, list[tuple[dt.datetime, Rule]]] = {name: [] for name in names}
        with converted("listing the rules"):
            for filters in _rule_filters(scope, list(wanted), dt.datetime.now(dt.UTC)):
                for row in self.client.list_replication_rules(filters=filters):
                    if row["name"] in wanted:
                        wanted[row["name"]].append((answers.aware(row["created_at"]), answers.rule(row)))
        return {name: _oldest_first(rows) for name, rows in wanted.items()}

    @override
    def add_rule(
        self,
        did: Did,
        *,
        rse_expression: str,
        source: str = "",
        lifetime_s: int | None = None,
        activity: str = DEFAULT_ACTIVITY,
        priority: int = 3,
        account: str = "",
    ) -> None:
        with converted(f"requesting a copy of {did} in {rse_expression!r}"):
            try:
                self.client.add_replication_rule(
                    [_did_row(did)],
                    copies=1,
                    rse_expression=rse_expression,
                    source_replica_expression=source or None,
                    lifetime=lifetime_s,
                    activity=activity,
                    priority=priority,
                    account=account or None,
                )
            except rucio_exception.DuplicateRule:
                _LOG.debug("rule on %s in %s exists", did, rse_expression)

    @override
    def prolong_rule(self, rule_id: str) -> None:
        self._update_rule(rule_id, {"lifetime": None})

    @override
    def redirect_rule(self, rule_id: str, source: str) -> None:
        self._update_rule(rule_id, {"source_replica_expression": source})

    @override
    def retry_rule(self, rule_id: str) -> None:
        # Rucio's repairer takes the rules first that were updated longest ago; a boosted rule counts as one of them.
        self._update_rule(rule_id, {"boost_rule": True})

    def _update_rule(self, rule_id: str, options: dict[str, Any]) -> None:
        with converted(f"changing rule {rule_id}"):
            self.client.update_replication_rule(rule_id, options)

    @override
    def end_rule(self, rule_id: str) -> None:
        with converted(f"ending rule {rule_id}"):
            self.client.update_replication_rule(rule_id, {"lifetime": -1})

    @override
    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        with converted(f"writing notes on {did}"):
            self.client.set_metadata_bulk(did.scope, did.name, dict(notes))

    @override
    def annotations(self, did: Did) -> Mapping[str, Any]:
        with converted(f"reading notes on {did}"):
            said = self.client.get_metadata(did.scope, did.name, plugin="CTAO")
            return {key: value for key, value in said.items() if key not in METADATA}


def _chunks(rows: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), _BULK):
        yield rows[start : start + _BULK]


def _meta(file: Registration) -> dict[str, Any]:
    """Return the metadata of a file as a part of a request; empty if there are none."""
    return {"meta": file.metadata.to_wire()} if file.metadata else {}


def _did_row(did: Did) -> dict[str, str]:
    return {"scope": did.scope, "name": did.name}


def _rule_row(rule: FirstRule, account: str) -> dict[str, Any]:
    """Return a rule on replicas that exist already; it may therefore select storage elements that are not writable."""
    return {
        "account": account,
        "copies": 1,
        "rse_expression": rule.rse_expression,
        "lifetime": rule.lifetime_s,
        "activity": rule.activity,
        "priority": rule.priority,
        "ignore_availability": True,
    }


def _row(lfn: Lfn) -> dict[str, str]:
    return {"scope": scope_of(str(lfn)), "name": str(lfn)}


def _oldest_first(dated: list[tuple[dt.datetime, Rule]]) -> list[Rule]:
    return [rule for _, rule in sorted(dated, key=lambda each: (each[0], each[1].id))]


def _rule_filters(scope: str, names: list[str], now: dt.datetime) -> list[dict[str, str]]:
    """Return the filters that find the rules on `names` at the least cost.

    For few names, or those of an old night, there is one request per name. For many young blocks, there is one request
    for all rules made since the oldest block was opened, with a margin for the clock of the client that opened it.
    """
    one_by_one = [{"scope": scope, "name": name} for name in names]
    if len(names) <= 3:
        return one_by_one
    try:
        opened = min(BlockName.parse(name).opened for name in names)
    except InvalidNameError:
        return [{"scope": scope}]
    if len(names) * _ROWS_A_QUESTION < (now - opened).days * _RULES_A_DAY:
        return one_by_one
    return [{"scope": scope, "created_after": date_to_str(opened - _CLOCKS_DIFFER)}]
