"""The policy as Rucio itself sees it, in a process whose configuration names the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROBE = """
import json, sys
from rucio.common import exception, schema
from rucio.common.plugins import PolicyPackageAlgorithms
from rucio.common.utils import extract_scope
from rucio.rse.translation import RSEDeterministicScopeTranslation, RSEDeterministicTranslation

def attempt(function, *args):
    try:
        return function(*args)
    except exception.RucioException as error:
        return {"error": type(error).__name__, "text": str(error)}

asked = json.load(sys.stdin)
paths = RSEDeterministicTranslation("X", {"lfn2pfn_algorithm": "ctao_bdms"}, {})
names = RSEDeterministicScopeTranslation()
answer = {
    "extract_scope": {did: attempt(extract_scope, did) for did in asked["extract_scope"]},
    "lfn2pfn": {name: attempt(paths.path, "acada", name) for name in asked["lfn2pfn"]},
    "default": RSEDeterministicTranslation("X", {}, {}).path("acada", "/ctao/acada/x"),
    "pfn2lfn": [attempt(names.parser, parsed) for parsed in asked["pfn2lfn"]],
    "schema": [[kind, value, attempt(schema.validate_schema, kind, value)] for kind, value in asked["schema"]],
    "module": schema.schema_modules["def"].__name__,
    "algorithms": {
        kind: [name for name, function in table.items() if function.__module__.startswith("ctao_rucio_policy")]
        for kind, table in PolicyPackageAlgorithms._ALGORITHMS.items()
    },
}
json.dump(answer, sys.stdout)
"""
CONFIG = """
[client]
rucio_host = http://127.0.0.1:1
auth_host = http://127.0.0.1:1
[policy]
package = ctao_rucio_policy
lfn2pfn_algorithm_default = ctao_bdms
extract_scope = ctao_bdms
"""
LFN = "/ctao/acada/DL0/LSTN-01/ctao-n-acada/acada-adh/events/2026/11/21/TEL001_x.fits.fz"
SCOPES = {
    LFN: ["acada", LFN],
    "/ctao": ["root", "/ctao"],
    "/ctao/": ["root", "/ctao"],
    "/": ["root", "/"],
    "/ctao/acada": ["acada", "/ctao/acada"],
    "/ctao/acada/DL0/": ["acada", "/ctao/acada/DL0"],
    "/ctao/user/a/aeinstein/x": ["user.aeinstein", "/ctao/user/a/aeinstein/x"],
    f"acada:{LFN}": ["acada", LFN],
    "acada:/ctao/acada/DL0/*": ["acada", "/ctao/acada/DL0/*"],
    "other:name": ["other", "name"],
}
NO_DIDS = ["", "x", "acada:", ":/ctao/x", "/ctao/../x", "/ctao//acada", "/ctao/acada/a b", "/ctao/user/b/aeinstein/x"]
GOOD_NAMES = [
    LFN,
    "/ctao",
    "/ctao/acada",
    "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T031500-1a2b3c4d",
    "/ctao/dpps/DL2/dl2_evt_sub_AirShower_ob2000000001_geometry+energy.h5",
    "/ctao/acada/..x",
    "/ctao/acada/x..",
    "/ctao/acada/...",
    "/a/" + "x" * 247,
]
BAD_NAMES = [
    "ctao/acada",
    "/",
    "//ctao",
    "/ctao/",
    "/ctao//acada",
    "/ctao/./acada",
    "/ctao/../acada",
    "/ctao/acada/.",
    "/ctao/acada/..",
    "/ctao/acada\n",
    "/ctao/acada/a b",
    "/ctao/acada/a:b",
    "/ctao/acada/\u00e9",
    "/ctao/acada/\u0661",
    "/ctao/acada/*",
    "/a/" + "x" * 248,
]
VALID = [
    *(("name", name) for name in GOOD_NAMES),
    ("scope", "acada"),
    ("scope", "user." + "x" * 20),
    ("account", "bdms-ingest"),
    ("account", "albert.einstein_2"),
    ("account", "x" * 64),
    ("activity", "User Transfers"),
    ("activity", "T0 Export"),
    ("activity", "Data Challenge"),
    ("did", {"scope": "acada", "name": LFN}),
    ("rule", {"dids": [], "copies": 1, "rse_expression": "X", "activity": "User Transfers", "account": "x.y"}),
    ("attachments", [{"scope": "acada", "name": "/ctao/acada", "dids": [{"scope": "acada", "name": "/ctao/acada/x"}]}]),
    ("rse", "CTAO-NORTH-ONSITE"),
    ("rse", "PIC-DISK_2"),
    ("rse", "X" * 255),
    ("account_attribute", "bdms-role"),
]
INVALID = [
    *(("name", name) for name in BAD_NAMES),
    ("scope", "acada\n"),
    ("scope", "a/b"),
    ("scope", "x" * 26),
    ("account", "bdms-ingest\n"),
    ("account", "Upper"),
    ("account", "x" * 65),
    ("activity", "Holidays"),
    ("rse", "PIC-DISK\n"),
    ("rse", "pic-disk"),
    ("rse", "PIC--DISK"),
    ("rse", "X" * 256),
    ("did", {"scope": "acada", "name": "/ctao/../x"}),
    ("dids", [{"scope": "acada", "name": LFN}, {"scope": "acada\n", "name": LFN}]),
    ("rule", {"dids": [], "copies": 1, "rse_expression": "X", "activity": "Holidays"}),
]


@pytest.fixture(scope="module")
def rucio(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Rucio answers when the configuration names our package."""
    config = tmp_path_factory.mktemp("policy") / "rucio.cfg"
    config.write_text(CONFIG)
    asked = {
        "extract_scope": [*SCOPES, *NO_DIDS],
        "lfn2pfn": [LFN, "/ctao/acada/../../etc/passwd", "x"],
        "pfn2lfn": [
            {"path": "/ctao/acada/DL0/", "name": "x.fits.fz", "prefix": "/data/"},
            {"path": "/ctao/acada/../DL0/", "name": "x", "prefix": "/data/"},
            {"path": "/", "name": "x", "prefix": "/data/"},
        ],
        "schema": [*VALID, *INVALID],
    }
    return ask(PROBE, config, json.dumps(asked))


def ask(code: str, config: Path, stdin: str = "") -> dict[str, Any]:
    """Run `code` in a process of its own and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=stdin,
        env=os.environ | {"RUCIO_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_rucios_table_holds_our_algorithms(rucio: dict[str, Any]) -> None:
    ours = {kind: names for kind, names in rucio["algorithms"].items() if names}
    assert ours == {"lfn2pfn": ["ctao_bdms"], "pfn2lfn": ["ctao_bdms"], "scope": ["ctao_bdms"]}


def test_rucio_finds_the_scope_of_a_name(rucio: dict[str, Any]) -> None:
    assert {did: rucio["extract_scope"][did] for did in SCOPES} == SCOPES


def test_what_is_no_did_is_refused_with_a_sentence(rucio: dict[str, Any]) -> None:
    for did in NO_DIDS:
        answer = rucio["extract_scope"][did]
        assert isinstance(answer, dict), did
        assert answer["error"] == "InvalidObject", did
        assert "write /<vo>/<scope>/..." in answer["text"]


def test_a_file_lies_below_the_prefix_under_its_name(rucio: dict[str, Any]) -> None:
    assert rucio["lfn2pfn"][LFN] == LFN[1:]
    assert rucio["default"] == "ctao/acada/x"
    for bad in ("/ctao/acada/../../etc/passwd", "x"):
        assert rucio["lfn2pfn"][bad]["error"] == "ReplicaNotFound"


def test_a_place_says_which_file_lies_there(rucio: dict[str, Any]) -> None:
    good, dots, short = rucio["pfn2lfn"]
    assert good == ["/ctao/acada/DL0/x.fits.fz", "acada"]
    assert dots["error"] == short["error"] == "InvalidPath"


def test_the_schema_is_ours_and_accepts_what_is_canonical(rucio: dict[str, Any]) -> None:
    assert rucio["module"] == "ctao_rucio_policy.schema"
    answers = [answer for kind, value, answer in rucio["schema"][: len(VALID)]]
    assert answers == [None] * len(VALID), [row for row in rucio["schema"][: len(VALID)] if row[2]]


def test_the_schema_refuses_the_rest(rucio: dict[str, Any]) -> None:
    refused = rucio["schema"][len(VALID) :]
    assert len(refused) == len(INVALID)
    accepted = [(kind, value) for kind, value, answer in refused if not answer or answer["error"] != "InvalidObject"]
    assert accepted == []


def test_a_defect_of_the_policy_refuses_instead_of_falling_back(rucio: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "rucio.cfg"
    config.write_text(CONFIG)
    code = """
import json, logging
logging.disable(logging.CRITICAL)
from rucio.common.types import InternalAccount
from rucio.core import permission
import ctao_rucio_policy.permission as ours
def broken(issuer, session):
    raise TypeError
ours._caller = broken
root, session = InternalAccount("root"), object()
refused = permission.has_permission(root, "add_replicas", {"rse": "X", "rse_id": None}, session=session)
left = permission.has_permission(root, "list_heartbeats", {}, session=session)
print(json.dumps({"allowed": refused.allowed, "text": refused.message, "generic": left.allowed}))
"""
    answer = ask(code, config)
    assert answer["allowed"] is False
    assert "server error" in answer["text"]
    assert answer["generic"] is True
