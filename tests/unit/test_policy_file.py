"""The policy file: what it says, and what is said of one that does not hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.cli.app import run
from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.model import ACTIVITIES, DataDivision, Night, ProductMetadata, RetentionClass, Site
from ctao_bdms.replication import CentreTerms, Policy, ProductEntry
from ctao_bdms.replication.policyfile import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

TEXT = DEFAULT.read_text(encoding="utf-8")


def _written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        Policy.load(_written(folder, text))
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("metadata", "category", "scope", "expected"),
    [
        ({"data__level": "DL0"}, "", "acada", RetentionClass.PERMANENT),
        ({"data__level": "DL0"}, "B", "acada", RetentionClass.PERMANENT),
        ({"data__level": "DL0"}, "", "user.jane", RetentionClass.USER),
        ({"data__level": "DL3"}, "", "dpps", RetentionClass.PERMANENT),
        ({"data__level": "DL3"}, "C", "dpps", RetentionClass.PERMANENT),
        ({"data__level": "DL3"}, "B", "dpps", RetentionClass.SHORT_TERM),
        ({"data__level": "DL3", "instance__category": "B"}, "", "dpps", RetentionClass.SHORT_TERM),
        ({"data__level": "DL3", "instance__category": "B"}, "C", "dpps", RetentionClass.PERMANENT),
        ({"data__level": "DL3"}, "A", "dpps", RetentionClass.REAL_TIME),
        ({"data__level": "DL1"}, "C", "dpps", RetentionClass.SHORT_TERM),
        ({"data__level": "DL2"}, "", "dpps", RetentionClass.SHORT_TERM),
        ({"data__level": "SIM"}, "", "dpps", RetentionClass.PERMANENT),
        ({}, "", "", RetentionClass.PERMANENT),
    ],
)
def test_the_observatory_keeps(metadata: dict[str, str], category: str, scope: str, expected: RetentionClass) -> None:
    assert Policy.load().retention_for(ProductMetadata(metadata), category, scope=scope) is expected


def test_every_condition_of_an_entry_must_hold() -> None:
    entry = ProductEntry(
        retention=RetentionClass.USER, sites=(Site.NORTH,), divisions=(DataDivision.EVENT,), kinds=("AirShower",)
    )
    whole = {"instance__site_id": "CTAO-North", "data__division": "Event", "data__type": "AirShower"}
    assert entry.fits(ProductMetadata(whole), "", "")
    for key in whole:
        assert not entry.fits(ProductMetadata({**whole, key: "other"}), "", "")
        assert not entry.fits(ProductMetadata({k: v for k, v in whole.items() if k != key}), "", "")


def test_what_the_observatory_promises() -> None:
    policy = Policy.load()
    permanent = policy.retention(RetentionClass.PERMANENT)
    assert (permanent.copies, permanent.lifetime_s, permanent.lifetime) == (2, None, None)
    for name in set(RetentionClass) - {RetentionClass.PERMANENT}:
        assert policy.retention(name).lifetime_s, name
    assert policy.retention(RetentionClass.USER).quota_bytes
    assert {retention.activity for retention in policy.retentions.values()} <= set(ACTIVITIES)
    assert policy is Policy.load()


def test_the_fingerprint_is_of_what_is_said(tmp_path: Path) -> None:
    ours = Policy.load().fingerprint
    assert re.fullmatch("[0-9a-f]{64}", ours)
    assert Policy.load(_written(tmp_path, "# a remark\n" + TEXT)).fingerprint == ours
    others = {
        Policy.load(_written(tmp_path, text)).fingerprint
        for text in (
            TEXT.replace("copies = 2", "copies = 3"),
            TEXT.replace('levels = ["DL1", "DL2"]', 'levels = ["DL1"]'),
            TEXT + "\n[centre.DESY]\nlast_night = 2028-09-01\n",
            TEXT + "\n[placement]\nkeep_free_bytes = 1\n",
        )
    }
    assert len(others | {ours}) == 5


def test_a_centre_takes_some_nights() -> None:
    policy = attrs.evolve(
        Policy.load(),
        centres={
            "CSCS": CentreTerms(first_night=Night.parse("2028-01-01").date, last_night=Night.parse("2028-06-30").date)
        },
    )
    taken = [policy.takes("CSCS", Night.parse(day)) for day in ("2027-12-31", "2028-01-01", "2028-06-30", "2028-07-01")]
    assert taken == [False, True, True, False]
    assert policy.takes("PIC", Night.parse("2027-12-31"))


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """
    strange = 1
    product = [{ retention = "permanent" }, { retention = "for-ever", levels = ["DL9"] }, { level = ["DL0"] }, 7]

    [retention.permanent]
    copies = 2
    lifetime_s = 100
    order = ["LAPP", "LAPP"]
    centres = { PIC = 1, CSCS = 0 }
    [retention.short-term]
    copy = 1
    [retention.real-time]
    copies = 0
    priority = 9
    centres = { PIC = -1 }
    [retention.users]
    copies = 1
    [centre.PIC]
    first_night = 2028-01-01
    last_night = 2027-01-01
    [centre.CSCS]
    first_night = "soon"
    """
    expected = [
        "strange is unknown; the nearest known one is centre",
        "retention.short-term.copy is unknown; the nearest known one is retention.short-term.copies",
        "retention.short-term.copies is missing: Distinct centres",
        "retention.real-time.copies = 0 is wrong: expected a whole number, at least 1 and at most 20.",
        "retention.real-time.priority = 9 is wrong: expected a whole number, at least 1 and at most 5.",
        "retention.real-time.centres = {'PIC': -1} is wrong: expected a table of numbers, at least 0.",
        "retention.users is unknown; the nearest known one is retention.user",
        'centre.CSCS.first_night = "soon" is wrong: expected a date, YYYY-MM-DD.',
        'product[2].retention = "for-ever" is wrong: expected one of permanent, short-term, real-time, user.',
        "product[2].levels = ['DL9'] is wrong: expected a list of some of R0, R1, DL0,",
        "product[3].level is unknown; the nearest known one is product[3].levels",
        "product[3].retention is missing: The retention class.",
        "product[4] = 7 is wrong: expected a section [product[4]]",
        "[retention.user] is missing: every retention class must be said",
        "retention.permanent: 2 copies need 2 centres, and there are 1 with a share: PIC",
        "retention.permanent.order: LAPP has no share in retention.permanent.centres",
        "retention.permanent.order: a centre stands there twice",
        "retention.permanent.lifetime_s: what is permanent has no end",
        "centre.PIC: first_night, 2028-01-01, is after last_night, 2027-01-01",
        "product[1] fits every product: the 3 after it are never reached",
    ]
    said = _problems(tmp_path, text)
    for beginning in expected:
        assert any(problem.startswith(beginning) for problem in said), (beginning, said)
    assert len(set(said)) == len(expected)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"T0 Export"',
            '"T0 Exprt"',
            'retention.permanent.activity: Rucio knows no "T0 Exprt"; the nearest known one is "T0 Export"',
        ),
        ('[[product]]\nretention = "permanent"\n', "", "the last [[product]] must fit every product"),
        ("[retention.user]", "[retention.user]\ntape = 1", "retention.user.tape = 1 is wrong: expected true or false."),
        (
            "[retention.short-term]",
            "[retention.short-term]\nonsite_days = 14",
            "retention.short-term.onsite_days has no effect: a copy on site is released only where 2 centres keep",
        ),
        ("copies = 2", "copies = 1", "retention.permanent.onsite_days has no effect"),
        ("copies = 2", "copies = ", "the file is not valid TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    (problem,) = _problems(tmp_path, TEXT.replace(old, new, 1))
    assert problem.startswith(said)


@pytest.mark.parametrize(
    "text", ["", "retention = 1", "retention = 1\nproduct = 2\ncentre = 3\nplacement = 4", "x = 1"]
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    assert _problems(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match="cannot be read: No such file"):
        Policy.load(tmp_path / "none.toml")


def test_the_commands_say_what_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _written(tmp_path, TEXT.replace("copies = 2", "copies = 3").replace("onsite_days = 60", ""))
    assert run(["policy", "check", str(path)]) == 0
    assert "holds; its fingerprint is" in capsys.readouterr().out
    assert run(["policy", "show", "--file", str(path)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"permanent +3 +by their stated shares +for ever +for ever +T0 Export, priority 3", shown)
    assert re.search(r"short-term +1 +by their stated shares +180 days +180 days +Production", shown)
    monkeypatch.setenv("BDMS_POLICY", str(path))
    assert run(["policy", "show", "--json"]) == 0
    assert '"copies": 3' in capsys.readouterr().out
    path.write_text("copies = 1", encoding="utf-8")
    assert run(["policy", "check", str(path)]) == 2
    assert "copies is unknown" in capsys.readouterr().err
