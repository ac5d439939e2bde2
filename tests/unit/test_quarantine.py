"""The quarantine: what is in it, how a file comes out of it, and that nothing is ever overwritten."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.cli.app import run
from ctao_bdms.errors import UsageError
from ctao_bdms.inbox import survey
from ctao_bdms.ingest import Registrar, Status
from ctao_bdms.ingest.read import read_all
from ctao_bdms.model import DefectKind, Rse
from ctao_bdms.quarantine import Case, OperatorAction, Quarantine, restore
from ctao_bdms.replication import Policy
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
ACTION = OperatorAction(what="release", who="op@site", when=NOW, why="the disk was repaired")


@attrs.frozen
class Storage:
    """A storage with two files of a night, and an archive."""

    root: Path
    bdms: Bdms
    bad: WrittenFile
    good: WrittenFile

    @property
    def quarantine(self) -> Quarantine:
        return self.bdms.quarantine.at()

    def admit(self) -> Case:
        """Ingest all; return the case of the one that is bad."""
        self.bdms.ingest(self.root)
        (case,) = self.quarantine.cases()
        return case

    def tree(self) -> dict[str, str]:
        """Return all that lies here, with digests of the contents."""
        return {
            str(path): str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.parent.rglob("*")
            if not path.is_dir()
        }


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    root = tmp_path / "onsite"
    bad, good = write_night(root, night_specs(2, telescopes=1, megabytes=0.001))
    damage(bad.path, Damage.BIT_FLIP)
    archive = InMemoryCatalogue(
        [
            Rse(name="CTAO-NORTH-ONSITE", prefix=str(root), site="CTAO-North"),
            Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
            Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
        ]
    )
    return Storage(root, Bdms(archive, policy=Policy.load(), now=lambda: NOW), bad, good)


def _events(quarantine: Quarantine) -> list[dict[str, str]]:
    return [json.loads(line) for line in (quarantine.folder / "events.jsonl").read_text().splitlines()]


def test_a_case_says_all_there_is_to_say(storage: Storage) -> None:
    content = storage.bad.path.read_bytes()
    case = storage.admit()
    assert (case.path, case.trigger, case.lfn) == (storage.bad.path, storage.bad.trigger, storage.bad.lfn)
    assert (case.kinds, case.night, case.when) == (("corrupt",), "2026-11-21", NOW)
    assert case.file.read_bytes() == content
    assert case.digests["sha256"] == hashlib.sha256(content).hexdigest()
    assert case.reason["parts"][0]["name"] == "PRIMARY"
    assert "bad" in {part["datasum"] for part in case.reason["parts"]}


def test_a_restored_file_is_back_as_it_was_and_can_be_ingested_again(storage: Storage) -> None:
    content, stamp = storage.bad.path.read_bytes(), storage.bad.path.stat().st_mtime_ns
    case = storage.admit()
    assert restore(storage.quarantine, case, ACTION) == storage.bad.path
    assert (storage.bad.path.read_bytes(), storage.bad.path.stat().st_mtime_ns) == (content, stamp)
    assert storage.bad.trigger.readlink() == Path(storage.bad.path.name)
    assert not storage.quarantine.cases()
    (kept,) = (storage.quarantine.folder / "closed").iterdir()
    history = json.loads((kept / "reason.json").read_text())["history"]
    assert history == [
        {"what": "release", "who": "op@site", "when": "2026-11-22T06:00:00+00:00", "why": "the disk was repaired"}
    ]
    assert _events(storage.quarantine) == [{"case": case.id, **history[0]}]
    again = storage.admit()
    assert (again.file.read_bytes(), again.id == case.id) == (content, False)


def test_a_file_that_came_without_trigger_goes_back_with_one(storage: Storage) -> None:
    storage.bad.trigger.unlink()
    storage.bdms.ingest(storage.bad.path)
    (case,) = storage.quarantine.cases()
    assert case.trigger is None
    restore(storage.quarantine, case, ACTION)
    assert storage.bad.trigger.resolve() == storage.bad.path


def test_restore_never_overwrites_and_changes_nothing_then(storage: Storage) -> None:
    case = storage.admit()
    storage.bad.path.write_bytes(b"written anew")
    before = storage.tree()
    with pytest.raises(UsageError, match="there is a file at"):
        restore(storage.quarantine, case, ACTION)
    assert storage.tree() == before
    with pytest.raises(UsageError, match="is no case"):
        storage.quarantine.case("../onsite")


def test_a_document_that_cannot_be_read_does_not_hide_the_others(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    case = storage.admit()
    broken = storage.quarantine.folder / "20260101T000000Z-00000000"
    broken.mkdir()
    (broken / "reason.json").write_text('{"path": ')
    assert [each.id for each in storage.quarantine.cases()] == [case.id]
    assert "20260101T000000Z-00000000 is no case of a quarantine" in caplog.text


@pytest.mark.parametrize("name", ["reason.json", "trigger", ".hidden", "_x", "\udcff" * 100, "n" * 240, "a\nb"])
def test_any_name_can_be_quarantined_and_restored(storage: Storage, name: str) -> None:
    path = storage.good.path.with_name(name)
    path.write_bytes(b"unlike any other")
    before = storage.tree()
    (outcome,) = storage.bdms.ingest(path)
    assert (outcome.status, path.exists()) == (Status.QUARANTINED, False)
    (case,) = storage.quarantine.cases()
    assert case.file.read_bytes() == b"unlike any other"
    assert (case.path, case.defects[0].kind) == (path, DefectKind.INVALID_NAME)
    assert case.name.isprintable() or "\n" in name
    case.name.encode()
    restore(storage.quarantine, case, ACTION)
    after = {key: value for key, value in storage.tree().items() if key in before}
    assert after == before


def test_the_same_path_again_and_again_in_one_second(storage: Storage) -> None:
    contents = [f"content {number}".encode() for number in range(4)]
    for content in contents:
        storage.bad.path.write_bytes(content)
        storage.bdms.ingest(storage.bad.path)
    cases = storage.quarantine.cases()
    assert sorted(case.file.read_bytes() for case in cases) == contents
    assert len({case.id for case in cases}) == 4


def test_a_retry_is_an_ingest(storage: Storage) -> None:
    case = storage.admit()
    (outcome,) = storage.bdms.quarantine.retry(case, why="newer software")
    assert (outcome.status, outcome.defects[0].kind) == (Status.QUARANTINED, DefectKind.CORRUPT)
    sound = storage.quarantine.cases()[0]
    sound.file.write_bytes(_sound(storage))
    (outcome,) = storage.bdms.quarantine.retry(sound)
    assert outcome.status is Status.REGISTERED
    assert not storage.bad.trigger.is_symlink()
    assert [(event["what"], event.get("why")) for event in _events(storage.quarantine)] == [
        ("retry", "newer software"),
        ("quarantined", None),
        ("retry", ""),
        ("registered", None),
    ]


def _sound(storage: Storage) -> bytes:
    """Return what the bad file was to be."""
    return _remade(storage, storage.bad)


def _remade(storage: Storage, file: WrittenFile) -> bytes:
    """Return what a file was to be."""
    (written,) = write_night(storage.root.parent / "again", [file.spec])
    return written.path.read_bytes()


def test_an_accepted_file_says_so_for_ever(storage: Storage) -> None:
    case = storage.admit()
    (outcome,) = storage.bdms.quarantine.accept(case, "the only copy of the burst")
    assert outcome.status is Status.REGISTERED
    (product,) = (product for product in storage.bdms.query(night="2026-11-21") if product.lfn == storage.bad.lfn)
    disclaimer = str(product.metadata["disclaimer"])
    assert "in spite of: corrupt. the only copy of the burst" in disclaimer
    assert "accepted by " in disclaimer
    assert product.metadata["instance__obs_id"] == storage.bad.spec.obs_id
    assert (storage.bad.path.exists(), storage.bad.trigger.is_symlink()) == (True, False)
    assert [event["what"] for event in _events(storage.quarantine)] == ["accept", "registered"]
    assert not storage.quarantine.cases()


@pytest.mark.parametrize("kind", [Damage.EMPTY, Damage.GARBAGE])
def test_what_is_no_product_cannot_be_accepted(storage: Storage, kind: Damage) -> None:
    storage.bad.path.write_bytes(_sound(storage))
    damage(storage.bad.path, kind)
    case = storage.admit()
    before = storage.tree()
    with pytest.raises(UsageError, match="cannot be accepted"):
        storage.bdms.quarantine.accept(case, "please")
    with pytest.raises(UsageError, match="for a reason"):
        storage.bdms.quarantine.accept(case, " ")
    assert storage.tree() == before


def test_a_conflict_can_never_be_accepted(storage: Storage) -> None:
    storage.bad.path.write_bytes(_sound(storage))
    storage.bdms.ingest(storage.root)
    (second,) = write_night(storage.root, [attrs.evolve(storage.bad.spec, seed=9)])
    (outcome,) = storage.bdms.ingest(second.path)
    assert outcome.status is Status.QUARANTINED
    (case,) = storage.quarantine.cases()
    assert case.kinds == ("conflict",)
    with pytest.raises(UsageError, match="is conflict and cannot be accepted"):
        storage.bdms.quarantine.accept(case, "mine is better")


def test_other_damage_than_was_accepted_still_keeps_it_out(storage: Storage) -> None:
    case = storage.admit()
    with case.file.open("ab") as stream:
        stream.write(b"more")
    (outcome,) = storage.bdms.quarantine.accept(case, "a bit does not matter")
    assert outcome.status is Status.QUARANTINED
    assert {defect.kind for defect in outcome.defects} == {DefectKind.CORRUPT, DefectKind.TRAILING_BYTES}


def test_a_quarantine_inside_a_namespace_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "onsite"
    root.mkdir()
    archive = InMemoryCatalogue(
        [
            Rse(name="CTAO-NORTH-ONSITE", prefix=str(root), site="CTAO-North"),
            Rse(name="PIC-DISK", prefix=str(tmp_path), centre="PIC"),
        ]
    )
    with pytest.raises(UsageError, match="namespace of PIC-DISK"):
        Bdms(archive, policy=Policy.load()).quarantine.at()


def test_a_file_replaced_since_it_was_read_is_left_for_the_next_ingest(storage: Storage) -> None:
    items = read_all(survey([storage.root], storage.root))
    for written in (storage.bad, storage.good):
        written.path.write_bytes(b"another one")
    archive = storage.bdms.catalogue
    report = Registrar(archive, archive.rses()["CTAO-NORTH-ONSITE"]).take(items)
    assert [(o.status, o.defects[0].kind) for o in report] == [(Status.REFUSED, DefectKind.CHANGING)] * 2
    assert not archive.files([storage.bad.lfn, storage.good.lfn])
    assert not archive.blocks("acada", "*")
    assert all(written.path.exists() and written.trigger.is_symlink() for written in (storage.bad, storage.good))


# --- the command -----------------------------------------------------------------------------------------------------


def _printed(capsys: pytest.CaptureFixture[str], storage: Storage, *words: str, code: int = 0) -> str:
    command = ["quarantine", *words, "--folder", str(storage.quarantine.folder)]
    assert run(command) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def _objects(capsys: pytest.CaptureFixture[str], storage: Storage, *words: str) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in _printed(capsys, storage, *words, "--json").splitlines()]


def test_list_show_and_release_by_command(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    case = storage.admit()
    assert case.id in _printed(capsys, storage, "list")
    (row,) = _objects(capsys, storage, "list", "--night", "2026-11-21", "--reason", "corrupt")
    assert (row["path"], row["size_bytes"]) == (str(storage.bad.path), storage.bad.size_bytes)
    assert not _objects(capsys, storage, "list", "--night", "2026-11-20")
    assert not _objects(capsys, storage, "list", "--reason", "empty")
    shown = _printed(capsys, storage, "show", case.id)
    for word in (str(storage.bad.path), case.digests["sha256"], "DATASUM", "PRIMARY", "datasum"):
        assert word in shown
    (document,) = _objects(capsys, storage, "show", case.id)
    assert (document["id"], document["path"]) == (case.id, str(storage.bad.path))
    assert "is no case" in _printed(capsys, storage, "show", "nothing", code=2)
    assert str(storage.bad.path) in _printed(capsys, storage, "release", case.id, "--reason", "a test")
    assert _events(storage.quarantine)[0]["why"] == "a test"
    assert "@" in _events(storage.quarantine)[0]["who"]
    assert "is no case" in _printed(capsys, storage, "release", case.id, code=2)


def test_a_file_with_a_wrong_name_is_released_without_a_trigger(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    case = storage.admit()
    _printed(capsys, storage, "release", case.id, "--without-trigger")
    assert (storage.bad.path.exists(), storage.bad.trigger.is_symlink()) == (True, False)
    assert not storage.quarantine.cases()


def test_many_are_released_after_they_were_listed(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    damage(storage.good.path, Damage.TRUNCATED)
    storage.bdms.ingest(storage.root)
    first, second = sorted(storage.quarantine.cases(), key=lambda case: case.kinds)
    assert (first.kinds, second.kinds) == (("corrupt",), ("truncated",))
    before = storage.tree()
    chosen = ("release", "--night", "2026-11-21", "--reason", "the disk was repaired")
    assert "2 files would be released" in _printed(capsys, storage, *chosen)
    assert storage.tree() == before
    assert "0 files would be released" in _printed(capsys, storage, "release", "--kind", "empty")
    assert "name cases by their ID, or many" in _printed(capsys, storage, "release", code=2)
    assert "name cases by their ID, or many" in _printed(capsys, storage, *chosen, first.id, code=2)
    first.path.write_bytes(b"written anew")
    run(["quarantine", *chosen, "--apply", "--folder", str(storage.quarantine.folder)])
    said = capsys.readouterr().out.replace("\n", "")
    assert f"back at {second.path}" in said
    assert f"case {first.id} stays in quarantine" in said
    assert [(event["case"], event["why"]) for event in _events(storage.quarantine)] == [
        (second.id, "the disk was repaired")
    ]
    assert [case.id for case in storage.quarantine.cases()] == [first.id]


@pytest.fixture
def config(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a daemon whose quarantine lies elsewhere, and which connects to the archive of the test."""
    path = tmp_path / "ingestd.toml"
    path.write_text(
        f'[storage]\nroot = "{storage.root}"\nrse = "CTAO-NORTH-ONSITE"\nsite = "CTAO-North"\n'
        f'quarantine = "{tmp_path}/elsewhere"\n[checks]\nwarn = ["chunk"]\n[inbox]\nsidecars = false\n'
        f'[state]\nfolder = "{tmp_path}/state"\n'
    )

    def connect(_config: Path, *, quarantine: Path, **_: object) -> Bdms:
        return Bdms(storage.bdms.catalogue, policy=Policy.load(), now=lambda: NOW, quarantine=quarantine)

    monkeypatch.setattr("ctao_bdms.cli.onsite.connect", connect)
    return path


def _misnamed(storage: Storage) -> Path:
    """Give the sound file the name of another chunk, and a digest that is not its own; return where it lies."""
    wrong = storage.good.path.with_name(storage.good.path.name.replace("CHUNK000", "CHUNK007"))
    assert wrong != storage.good.path
    storage.good.path.rename(wrong)
    storage.good.trigger.unlink()
    wrong.with_name(wrong.name + ".trigger").touch()
    wrong.with_name(wrong.name + ".md5").write_text("0" * 32)
    return wrong


def test_commands_take_quarantine_and_checks_from_the_settings(
    storage: Storage, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = _misnamed(storage)
    elsewhere = Bdms(storage.bdms.catalogue, policy=Policy.load(), now=lambda: NOW, quarantine=tmp_path / "elsewhere")
    elsewhere.ingest(storage.root)
    by_path = {case.path: case for case in elsewhere.quarantine.cases()}
    assert set(by_path) == {wrong, storage.bad.path}
    assert run(["quarantine", "list", "--config", str(config)]) == 0
    assert by_path[wrong].id in capsys.readouterr().out
    retried = ["quarantine", "retry", "--night", "2026-11-21", "--config", str(config)]
    assert run(retried) == 0
    assert "2 files would be ingested again" in capsys.readouterr().out
    assert run([*retried, "--apply"]) == 1, "one is as bad as before"
    assert not storage.quarantine.cases()
    (bad,) = elsewhere.quarantine.cases()
    assert (bad.path, wrong.exists()) == (storage.bad.path, True)
    assert run(["quarantine", "accept", bad.id, "--reason", "a test", "--config", str(config)]) == 0
    assert not elsewhere.quarantine.cases()


def test_a_plan_foresees_what_the_daemon_would_do(
    storage: Storage, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = _misnamed(storage)
    assert run(["plan", str(wrong), "--config", str(config), "--json"]) == 0
    assert [row["status"] for row in json.loads(capsys.readouterr().out)["files"]] == ["registered"]
    assert [row.status for row in storage.bdms.plan(wrong)] == [Status.QUARANTINED]


def test_many_that_are_retried_share_a_block(storage: Storage) -> None:
    sound = _sound(storage)
    damage(storage.good.path, Damage.TRUNCATED)
    storage.bdms.ingest(storage.root)
    cases = storage.quarantine.cases()
    for case in cases:
        case.file.write_bytes(sound if case.path == storage.bad.path else _remade(storage, storage.good))
    report = storage.bdms.quarantine.retry(cases, why="copies were found")
    assert [outcome.status for outcome in report] == [Status.REGISTERED] * 2
    assert len({outcome.block for outcome in report}) == 1
    assert not storage.quarantine.cases()


# --- the dry run -----------------------------------------------------------------------------------------------------


def test_a_plan_says_what_an_ingest_does_and_changes_nothing(storage: Storage) -> None:
    archive = storage.bdms.catalogue
    assert isinstance(archive, InMemoryCatalogue)
    before = (storage.tree(), dict(archive.directories), archive.blocks("acada", "*"))
    (stranger,) = write_night(storage.root.parent / "x", night_specs(1, telescopes=1, megabytes=0.001, scope="nobodys"))
    dry = storage.bdms.plan(storage.root)
    assert (storage.tree().items() - before[0].items(), dict(archive.directories), archive.blocks("acada", "*")) == (
        {(str(stranger.path), stranger.sha256), (str(stranger.trigger), stranger.path.name)},
        *before[1:],
    )
    (block,) = dry.blocks
    assert (block.n_files, block.size_bytes, set(block.centres)) == (1, storage.good.size_bytes, {"PIC", "CSCS"})
    report = storage.bdms.ingest(storage.root)
    assert [(row.path, row.status, row.defects) for row in dry] == [(o.path, o.status, o.defects) for o in report]
    assert set(dry.directories) == {did for did in archive.directories if did.scope == "acada"}
    assert not storage.bdms.plan(storage.root).blocks
    assert [row.status for row in storage.bdms.plan(storage.good.path)] == [Status.KNOWN]


def test_a_plan_tells_a_scope_that_does_not_exist(storage: Storage) -> None:
    write_night(storage.root, night_specs(1, telescopes=1, megabytes=0.001, scope="nobodys"))
    dry, report = storage.bdms.plan(storage.root), storage.bdms.ingest(storage.root)
    by_path = {outcome.path: outcome.status for outcome in report}
    assert {row.path: row.status for row in dry} == by_path
    assert sorted(by_path.values()) == [Status.QUARANTINED, Status.REFUSED, Status.REGISTERED]
