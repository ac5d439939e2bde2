"""Which entries of Rucio's schema we override: a change of this list is a decision."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from ctao_bdms.embedded import RSES
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn
from ctao_rucio_policy import schema

GENERIC = """
import json
from rucio.common.schema import generic
print(json.dumps({
    "entries": [name for name in vars(generic) if name.isupper()],
    "lengths": [generic.NAME_LENGTH, generic.SCOPE_LENGTH],
    "activities": generic.ACTIVITY["enum"],
    "schemas": list(generic.SCHEMAS),
}))
"""
OVERRIDDEN = ["ACCOUNT", "ACCOUNT_LENGTH", "ACTIVITY", "NAME", "RSE", "SCHEMAS", "SCOPE", "SCOPE_NAME_REGEXP"]


@pytest.fixture(scope="module")
def generic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Rucio's own schema, which can only be imported where there is a configuration."""
    config = tmp_path_factory.mktemp("generic") / "rucio.cfg"
    config.write_text("[client]\n")
    environment = {"PATH": os.environ["PATH"], "RUCIO_CONFIG": str(config)}
    done = subprocess.run([sys.executable, "-c", GENERIC], env=environment, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_the_overridden_entries_are_these_and_no_others(generic: dict[str, Any]) -> None:
    ours = sorted(name for name in vars(schema) if name in generic["entries"])
    assert ours == OVERRIDDEN
    assert set(schema.SCHEMAS) == {"account", "activity", "name", "rse", "scope"}
    assert set(schema.SCHEMAS) <= set(generic["schemas"])
    assert set(schema.__all__) == {*OVERRIDDEN, "ACTIVITIES", "RSE_ATTRIBUTES"}


def test_the_lengths_are_those_of_the_columns(generic: dict[str, Any]) -> None:
    assert [schema.NAME["maxLength"], schema.SCOPE["maxLength"]] == generic["lengths"]
    assert schema.NAME["maxLength"] == Lfn.MAX_LENGTH
    assert schema.ACCOUNT["maxLength"] == schema.ACCOUNT_LENGTH


def test_every_activity_of_rucio_stays_allowed(generic: dict[str, Any]) -> None:
    assert set(generic["activities"]) <= set(schema.ACTIVITY["enum"])
    assert set(schema.ACTIVITY["enum"]) - set(generic["activities"]) == {"User Transfers"}


def test_every_attribute_of_a_storage_element_has_a_meaning() -> None:
    given = {key for element in RSES.values() for key in element.all_attributes("")}
    assert given <= set(schema.RSE_ATTRIBUTES)
    assert set(schema.RSE_ATTRIBUTES) - given == {"tape", "full", "free_bytes", "lost"}


@pytest.mark.parametrize(
    "name",
    [
        "/ctao/a",
        "/ctao",
        "/",
        "",
        "/ctao//a",
        "/ctao/.",
        "/ctao/..",
        "/c/..a",
        "/c/a\n",
        "/c/a+b",
        "/c/a b",
        "c/a",
        "/c/a/",
    ],
)
def test_the_schema_agrees_with_the_model(name: str) -> None:
    try:
        expected = bool(Lfn(name))
    except InvalidNameError:
        expected = name == "/ctao"  # the VO's own container is a name, but no file's
    assert bool(re.match(schema.NAME["pattern"], name)) is expected


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_url_gives_scope_and_name_whether_or_not_the_server_merges_slashes(slashes: str) -> None:
    match = re.match(schema.SCOPE_NAME_REGEXP, f"/acada{slashes}ctao/acada/DL0/x")
    assert match is not None
    assert match.groups() == ("acada", "/ctao/acada/DL0/x")
