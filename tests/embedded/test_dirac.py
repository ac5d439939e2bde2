"""The calls that DIRAC's catalogue client makes, through Rucio's client, against a real server."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import RSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.testing.plugin import RucioNamespace

    Dirac = Callable[..., Any]

ONSITE, PIC = "CTAO-NORTH-ONSITE", "PIC-DISK"
CONTENT = b"events"
ADLER32 = f"{zlib.adler32(CONTENT):08x}"

#: What the programs below share: the other client, and what DIRAC makes of a name.
PRELUDE = """
from rucio.client.diracclient import DiracClient
from rucio.common.exception import RucioException
from rucio.common.utils import extract_scope

dirac = DiracClient()


def did(lfn):
    scope, name = extract_scope(lfn, [])
    return {"scope": scope, "name": name}


def add(lfns, rse="CTAO-NORTH-ONSITE", adler32="0000000a", **more):
    common = {"rse": rse, "bytes": 6, "adler32": adler32}
    files = [{"lfn": lfn, "guid": "%032x" % i, **common} for i, lfn in enumerate(lfns)]
    return dirac.add_files(files, ignore_availability=True, **more)


def refused(call, *given, **named):
    try:
        call(*given, **named)
    except RucioException as error:
        return type(error).__name__
"""


@pytest.fixture
def dirac(embedded_rucio: RucioNamespace, ask: Callable[..., Any]) -> Dirac:
    """Run a program in DIRAC's place, with the test's directory as `base`."""

    def function(program: str, *arguments: object) -> Any:  # noqa: ANN401 (JSON)
        # Where jobs write is a scope of the workload management: what the ingest service owns is raw data.
        owner = f"client.update_scope('wms', {embedded_rucio.scope!r})"
        begin = f"{PRELUDE}\n{owner}\nbase = {f'/ctao/{embedded_rucio.scope}/sims'!r}\n"
        return ask(embedded_rucio.instance, begin + program, *arguments, account="root")

    return function


def test_adding_files_makes_the_tree_from_the_root_down(dirac: Dirac, embedded_rucio: RucioNamespace) -> None:
    answer = dirac("""
lfns = [base + "/gamma/000xxx/run1.zst", base + "/gamma/000xxx/run2.zst", base + "/proton/run1.zst"]
added = [add(lfns, parents_metadata={base + "/gamma": {"data__level": "R0", "particle": "gamma"}}) for _ in range(2)]


def walk(lfn):
    about = client.get_did(**did(lfn))
    if about["type"] == "FILE":
        return {}
    children = list(client.list_content(**did(lfn)))
    own = {lfn: [about["type"], about["scope"], sorted({child["type"] for child in children})]}
    wanted = [child["name"] for child in children if any(lfn.startswith(child["name"]) for lfn in lfns)]
    return own | {name: below for child in wanted for name, below in walk(child).items()}


held = (lfns[0], base + "/gamma/000xxx")
rules = {lfn: [rule["rse_expression"] for rule in client.list_did_rules(**did(lfn))] for lfn in held}
answer = [added, walk("/ctao"), rules, client.get_metadata(**did(base + "/gamma"), plugin="CTAO")]
""")
    added, tree, rules, metadata = answer
    scope = embedded_rucio.scope
    base = f"/ctao/{scope}/sims"
    assert added == [True, True]  # what exists is success
    children = tree.pop("/ctao")
    assert (children[:2], set(children[2])) == (["CONTAINER", "root"], {"CONTAINER"})
    assert tree == {
        f"/ctao/{scope}": ["CONTAINER", scope, ["CONTAINER"]],
        base: ["CONTAINER", scope, ["CONTAINER", "DATASET"]],
        f"{base}/gamma": ["CONTAINER", scope, ["DATASET"]],
        f"{base}/gamma/000xxx": ["DATASET", scope, ["FILE"]],
        f"{base}/proton": ["DATASET", scope, ["FILE"]],
    }
    assert rules == {f"{base}/gamma/000xxx/run1.zst": [ONSITE], f"{base}/gamma/000xxx": ["ANY=true"]}
    assert metadata == {"data__level": "R0", "particle": "gamma"}


def test_a_directory_never_holds_both_files_and_directories(dirac: Dirac) -> None:
    answer = dirac("""
add([base + "/a/b/x"])
answer = [
    refused(add, [base + "/a/x"]),
    refused(add, [base + "/a/b/c/x"]),
    sorted(client.list_dids(did(base)["scope"], [{"name": base + "/*"}], did_type="all")),
    base,
]
""")
    base = answer.pop()
    assert answer == ["UnsupportedOperation", "UnsupportedOperation", [f"{base}/a", f"{base}/a/b", f"{base}/a/b/x"]]


def test_directories_are_listed_and_replicas_found_in_chunks(dirac: Dirac, embedded_rucio: RucioNamespace) -> None:
    answer = dirac("""
lfns = [base + "/a/x%04d" % i for i in range(1100)]
add(lfns[:10])
rest = [{**did(lfn), "bytes": 6, "adler32": "0000000a", "meta": {"guid": "%032x" % 1}} for lfn in lfns[10:]]
for half in (rest[:600], rest[600:]):
    client.attach_dids(**did(base + "/a"), dids=half, rse="CTAO-NORTH-ONSITE")
places = {}
for start in range(0, len(lfns), 1000):
    chunk = [*lfns[start:start + 1000], base + "/a/unknown"][:1000]
    for row in client.list_replicas([did(lfn) for lfn in chunk]):
        places[row["name"]] = {rse: pfns[0] for rse, pfns in row["rses"].items() if pfns}
listed = [row for row in client.list_files(**did(base + "/a"))]
about = list(client.get_metadata_bulk([did(lfns[0]), did(base + "/a"), did(base + "/a/unknown")]))
answer = [lfns == sorted(places), places[lfns[7]], [len(listed), listed[0]], about, base]
""")
    complete, places, (count, first), about, base = answer
    assert complete
    path = embedded_rucio.instance.storage(ONSITE) / f"{base.lstrip('/')}/a/x0007"
    assert places == {ONSITE: f"file://localhost:0{path}"} or places == {ONSITE: f"file://localhost{path}"}
    assert count == 1100
    assert (first["bytes"], first["adler32"]) == (6, "0000000a")
    assert len(first["guid"].replace("-", "")) == 32
    assert [row["name"] for row in sorted(about, key=lambda row: str(row["name"]))] == [f"{base}/a", f"{base}/a/x0000"]
    (file,) = (row for row in about if row["did_type"] == "FILE")
    assert (file["bytes"], file["adler32"], file["guid"].replace("-", "")) == (6, "0000000a", "0" * 32)


def test_metadata_are_inherited_from_every_parent_and_found_in_every_scope(dirac: Dirac) -> None:
    answer = dirac("""
lfns = [base + "/a/x%d" % i for i in range(3)]
add(lfns)
block = {"scope": did(base)["scope"], "name": base.replace("/sims", "/blocks/b1")}
client.add_did(**block, did_type="DATASET", meta={"data__level": "block", "block key": 1})
client.attach_dids(**block, dids=[did(lfn) for lfn in lfns])
client.set_metadata_bulk(**did(base), meta={"MCCampaign": "Prod6", "phiP": 180, "instance__site_id": "CTAO-North"})
client.set_metadata_bulk(**did(base + "/a"), meta={"phiP": 0, "instance__obs_id": 7})
for i, lfn in enumerate(lfns):
    client.set_metadata_bulk(**did(lfn), meta={"runNumber": i, "nsb": 1.5, "instance__chunk_id": i})
bulk = client.get_metadata_bulk([did(lfn) for lfn in lfns], inherit=True, plugin="ALL")
keys = ["name", "bytes", "block key", "data__level", "MCCampaign", "phiP"]
keys += ["instance__site_id", "instance__obs_id", "runNumber"]
inherited = sorted([row.get(key) for key in keys] for row in bulk)
plain = [row.get("phiP") for row in client.get_metadata_bulk([did(lfns[0])], plugin="ALL")]


def find(*filters):
    scopes = client.list_scopes()
    return sorted(name for scope in scopes for name in client.list_dids(scope, list(filters), did_type="all"))


own = {"name": base + "*"}
found = [
    find({"runNumber": 1, **own}),
    find({"runNumber": 0, **own}, {"runNumber": 2, **own}),
    find({"instance__chunk_id.gte": 1, "instance__chunk_id.lt": 2, **own}),
    find({"nsb.gt": 1, "runNumber.ne": 1, **own}),
    find({"MCCampaign": "Prod6", **own}),
    find({"instance__obs_id": "7", **own}),
]
answer = [inherited, plain, found, base]
""")
    inherited, plain, found, base = answer
    x0, x1, x2 = (f"{base}/a/x{i}" for i in range(3))
    assert inherited == [[x, 6, 1, "block", "Prod6", 0, "CTAO-North", 7, i] for i, x in enumerate((x0, x1, x2))]
    assert plain == [None]
    assert found == [[x1], [x0, x2], [x1], [x0, x2], [base], [f"{base}/a"]]


def test_a_replica_is_added_by_a_rule_and_removed_by_its_end(dirac: Dirac, embedded_rucio: RucioNamespace) -> None:
    path = embedded_rucio.root / f"ctao/{embedded_rucio.scope}/sims/a/x"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    answer = dirac(
        """
lfn = base + "/a/x"
add([lfn], adler32=arguments[0])


def places():
    (row,) = client.list_replicas([did(lfn)], all_states=True)
    return sorted(rse for rse, state in row["states"].items() if state == "AVAILABLE")


before = places()
wait_for(lambda: [rule["locks_ok_cnt"] for rule in client.list_did_rules(**did(base + "/a"))] == [1])
(rule,) = client.add_replication_rule(
    [did(lfn)], copies=1, rse_expression="PIC-DISK", activity="User Transfers", grouping="NONE"
)
wait_for(lambda: client.get_replication_rule(rule)["state"] == "OK")
assert places() == ["CTAO-NORTH-ONSITE", "PIC-DISK"], places()
after = [places(), client.get_replication_rule(rule)["activity"]]
client.update_replication_rule(rule, {"lifetime": -86400})
wait_for(lambda: places() == ["CTAO-NORTH-ONSITE"])
answer = [before, after]
""",
        ADLER32,
    )
    assert answer == [[ONSITE], [[ONSITE, PIC], "User Transfers"]]
    assert path.read_bytes() == CONTENT
    assert not (embedded_rucio.instance.storage(PIC) / path.relative_to(embedded_rucio.root)).exists()


def test_a_removed_file_leaves_its_directory_and_a_removed_directory_the_tree(dirac: Dirac) -> None:
    answer = dirac("""
lfns = [base + "/a/x", base + "/a/y"]
add(lfns)
for parent in client.list_parent_dids(**did(lfns[0])):
    client.detach_dids(parent["scope"], parent["name"], [did(lfns[0])])
left = [row["name"] for row in client.list_files(**did(base + "/a"))]
known = client.get_did(**did(lfns[0]))["type"]
for rule in client.list_did_rules(**did(base + "/a")):
    client.delete_replication_rule(rule["id"])
client.set_metadata(**did(base + "/a"), key="lifetime", value=1)
wait_for(lambda: refused(client.get_did, **did(base + "/a")))
answer = [left, known, [row["name"] for row in client.list_content(**did(base))], base]
""")
    base = answer.pop()
    assert answer == [[f"{base}/a/y"], "FILE", []]


def test_every_storage_element_says_what_dirac_asks_of_it(dirac: Dirac) -> None:
    answer = dirac("""
names = [row["rse"] for row in client.list_rses("ANY=true")]
answer = {name: [client.list_rse_attributes(name), client.get_rse(name)] for name in names}
""")
    assert set(answer) == set(RSES)
    for attributes, about in answer.values():
        assert attributes["DIRAC-SITE"].startswith("CTAO.")
        assert (about["rse_type"], about["deterministic"]) == ("DISK", True)
        assert [about[f"availability_{what}"] for what in ("read", "write", "delete")] == [True] * 3
        assert [protocol["scheme"] for protocol in about["protocols"]] == ["file"]
