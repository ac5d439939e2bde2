"""The settings of the ingestion daemon: sources, errors, and the example file."""

from __future__ import annotations

import datetime as dt
import logging
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from tests.house import context_of

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.causes import Cause
from ctao_bdms.daemon.backoff import Backoff, Circuits, Ticket
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.config import Settings, settings_from
from ctao_bdms.daemon.config.consistency import restart_needed
from ctao_bdms.daemon.config.example import example
from ctao_bdms.daemon.config.load import keys
from ctao_bdms.daemon.config.settings import Batches, Blocks, LogLevel, Storage
from ctao_bdms.daemon.recovery import open_registrar
from ctao_bdms.daemon.service import Service
from ctao_bdms.errors import InvalidSettingsError, UsageError
from ctao_bdms.journal import Journal, Order
from ctao_bdms.model import Rse, Site
from ctao_bdms.replication import Policy
from ctao_bdms.settings import Key, toml

if TYPE_CHECKING:
    from collections.abc import Callable

NEEDED = '[storage]\nroot = "/storage/ctao-north"\nrse = "CTAO-NORTH-ONSITE"\nsite = "CTAO-North"\n'
NOW = dt.datetime(2026, 11, 21, 23, tzinfo=dt.UTC)
DEFAULTS = Settings(storage=Storage(root=Path("/storage/ctao-north"), rse="CTAO-NORTH-ONSITE", site=Site.NORTH))


def written(folder: Path, text: str) -> Path:
    path = folder / "ingestd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, environ: dict[str, str] | None = None, **flags: str) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        settings_from(path, environ, {key.replace("__", "."): text for key, text in flags.items()})
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return list(caught.value.problems)


def test_the_example_loads_to_the_defaults(tmp_path: Path) -> None:
    assert settings_from(written(tmp_path, example())) == DEFAULTS


def test_example_comments_out_the_defaults(tmp_path: Path) -> None:
    text, number = re.subn(r"^# (?=[a-z_]+ = )", "", example(), flags=re.MULTILINE)
    assert number == sum(not key.required for key in keys())
    assert settings_from(written(tmp_path, text)) == DEFAULTS


def test_the_example_has_every_setting_once_with_its_help() -> None:
    lines = example().splitlines()
    for key in keys():
        (place,) = [
            n
            for n, line in enumerate(lines)
            if re.fullmatch(rf"(# )?{key.name} = .*", line) and in_(lines, n, key.section)
        ]
        assert key.about["help"] in lines[place - 1]
        assert bool(key.about["reload"]) is lines[place - 1].endswith("(reload)")


def in_(lines: list[str], place: int, section: str) -> bool:
    return next(line for line in reversed(lines[:place]) if line.startswith("[")) == f"[{section}]"


@pytest.mark.parametrize("key", list(keys()), ids=lambda key: key.dotted)
def test_every_setting_has_help(key: Key) -> None:
    help_text = key.about["help"]
    assert re.fullmatch(r"[A-Z].*\.", help_text)
    assert key.required is (key.about["example"] is not None)
    if key.kind is float:
        assert key.name.endswith("_s")
    if "memory" in key.name or "size" in key.name or "disk" in key.name:
        assert key.name.endswith("_bytes")


def test_environment_and_flags_win_in_their_order(tmp_path: Path) -> None:
    path = written(tmp_path, NEEDED + "[workers]\nnumber = 2\nattempts = 5\n[log]\nlevel = 'ERROR'\n")
    environ = {"BDMS_INGESTD_WORKERS_NUMBER": "3", "BDMS_INGESTD_LOG_LEVEL": "DEBUG", "PATH": "/bin", "BDMS_HOME": "/h"}
    flags = {"workers.number": "4", "queue.order": "oldest-first", "inbox.sidecars": "false", "batches.age_s": "2"}
    settings = settings_from(path, environ, flags)
    assert (settings.workers.number, settings.workers.attempts) == (4, 5)
    assert settings.log.level is LogLevel.DEBUG
    assert settings.queue.order is Order.OLDEST
    assert settings.inbox.sidecars is False
    assert settings.batches.age_s == 2.0


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    environ = {
        "BDMS_INGESTD_STORAGE_ROOT": "/s",
        "BDMS_INGESTD_STORAGE_RSE": "R",
        "BDMS_INGESTD_STORAGE_SITE": "CTAO-South",
        "BDMS_INGESTD_INBOX_ROOTS": "/s/a, /s/b",
        "BDMS_INGESTD_CHECKS_WARN": "",
    }
    settings = settings_from(None, environ)
    assert settings.inbox.roots == settings.inbox_roots == (Path("/s/a"), Path("/s/b"))
    assert settings.checks.warn == ()


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = NEEDED.replace("/storage/ctao-north", "data") + '[state]\nfolder = "state"\n[rucio]\nconfig = ""\n'
    path = written(tmp_path, text)
    settings = settings_from(path, {}, {"rucio.config": "etc/rucio.cfg"})
    assert settings.storage.root == tmp_path / "data"
    assert settings.quarantine == tmp_path / "data.quarantine"
    assert settings.lease == tmp_path / "data.lease"
    assert settings.journal == tmp_path / "state" / "journal.sqlite"
    assert settings.address_file == tmp_path / "state" / "address"
    assert settings.inbox_roots == (tmp_path / "data",)
    assert settings.rucio.config == Path("/etc/rucio.cfg")


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = """
    [storage]
    root = 3
    rse = ""
    [workers]
    numbr = 2
    number = "four"
    memory_bytes = 1024
    [polling]
    [inbox]
    sidecars = 1
    roots = ["/a", 7]
    age_s = 3
    [batches]
    age_s = nan
    [log]
    level = "LOUD"
    """
    said = problems(written(tmp_path, text), {"BDMS_INGESTD_WORKER_NUMBER": "1", "BDMS_INGESTD_STOP_DRAIN_S": "soon"})
    expected = [
        "storage.root = 3 is wrong: expected a path. The storage root",
        'storage.rse = "" is wrong: expected a text.',
        "workers.numbr is unknown; the nearest known one is workers.number",
        'workers.number = "four" is wrong: expected a whole number, at least 1 and at most 1,024.',
        "workers.memory_bytes = 1024 is wrong: expected a whole number, at least 268,435,456.",
        "polling is unknown; the nearest known one is ",
        "inbox.sidecars = 1 is wrong: expected true or false.",
        "inbox.roots = ['/a', 7] is wrong: expected a list of paths.",
        "inbox.age_s is unknown; the nearest known one is batches.age_s",
        "batches.age_s = nan is wrong: expected a number, at least 0.",
        'log.level = "LOUD" is wrong: expected one of DEBUG, INFO, WARNING, ERROR.',
        'BDMS_INGESTD_STOP_DRAIN_S = "soon" is wrong: expected a number, at least 0.',
        "BDMS_INGESTD_WORKER_NUMBER is unknown; the nearest known one is BDMS_INGESTD_WORKERS_NUMBER",
        "storage.site is missing: The site where the data are taken.",
    ]
    assert len(said) == len(expected)
    for beginning in expected:
        assert any(problem.startswith(beginning) for problem in said), beginning


def test_a_flag_that_is_unknown_or_wrong(tmp_path: Path) -> None:
    said = problems(written(tmp_path, NEEDED), None, worker__number="1", storage__site="Mars", workers__number="0")
    assert len(said) == 3
    assert said[0] == "worker.number is unknown; the nearest known one is workers.number"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[storage\n", "the file is not valid TOML: "),
        ("storage = 3\n", "storage = 3 is wrong: expected a section [storage]"),
        ("[workers]\nnumber = true\n", "workers.number = true is wrong"),
        ("[batches]\nage_s = true\n", "batches.age_s = true is wrong"),
        ("[rucio]\nconfig = 1\n", "rucio.config = 1 is wrong: expected a path."),
        ("[inbox]\nroots = '/a'\n", 'inbox.roots = "/a" is wrong: expected a list of paths.'),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    assert any(problem.startswith(sentence) for problem in problems(written(tmp_path, text)))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.toml") == ["the file cannot be read: No such file or directory"]
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    assert problems(tmp_path / "latin.toml")[0].startswith("the file is not valid TOML: 'utf-8' codec")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"inbox.roots": "/elsewhere"}, "inbox.roots: /elsewhere does not lie under storage.root"),
        ({"storage.quarantine": "/storage/ctao-north/bad"}, "storage.quarantine: "),
        ({"state.folder": "/storage/ctao-north"}, "state.folder: "),
        ({"state.lease": "/storage/ctao-north/lease"}, "state.lease: "),
        ({"batches.files": "501"}, "batches.files: 501 are more than blocks.files, 500"),
        ({"inbox.poll_interval_s": "601"}, "inbox.poll_interval_s is longer than inbox.full_walk_interval_s"),
        ({"retries.first_s": "61"}, "retries.first_s is longer than retries.cap_s"),
        ({"checks.warn": "nigth"}, "checks.warn: there is no check nigth; there are level, night, obs_id"),
        ({"checks.warn": "night,level", "checks.ignore": "night"}, "checks: night cannot both warn and be ignored"),
    ],
)
def test_contradictory_settings_are_rejected(tmp_path: Path, flags: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from(written(tmp_path, NEEDED), None, flags)
    assert sentence in str(caught.value)


def test_settings_that_need_a_restart() -> None:
    other = attrs.evolve(
        DEFAULTS,
        workers=attrs.evolve(DEFAULTS.workers, number=9),
        storage=attrs.evolve(DEFAULTS.storage, rse="OTHER"),
        log=attrs.evolve(DEFAULTS.log, level=LogLevel.DEBUG),
    )
    assert restart_needed(DEFAULTS, other) == ["storage.rse", "workers.number"]
    assert restart_needed(other, other) == []


def _others() -> Settings:
    """Return settings of which every key has another value."""
    another: dict[type, Callable[[Any], object]] = {
        int: lambda value: value - 1,
        float: lambda value: value + 0.5,
        bool: lambda value: not value,
        str: lambda value: value + "x",
        tuple: lambda value: (*value, "level") if len(value) < 1 else (),
        type(None): lambda _value: Path("/elsewhere"),
    }
    sections = {}
    for section in attrs.fields(Settings):
        values = attrs.asdict(getattr(DEFAULTS, section.name), recurse=False)
        for name, value in values.items():
            if isinstance(value, StrEnum):
                values[name] = next(each for each in type(value) if each is not value)
            elif isinstance(value, Path):
                values[name] = value / "other"
            else:
                values[name] = another[type(value)](value)
        sections[section.name] = type(getattr(DEFAULTS, section.name))(**values)
    return Settings(**sections)


def test_reload_changes_only_reloadable_settings(caplog: pytest.LogCaptureFixture) -> None:
    others = _others()
    service = Service(DEFAULTS, reload=lambda: others)
    circuits = Circuits(lambda: Backoff.of(service.settings.retries), monotonic=lambda: 0.0, jitter=lambda: 1.0)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        service._take_over()
        assert root.level == logging.getLevelName(others.log.level.value)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    for key in keys():
        settings = others if key.about["reload"] else DEFAULTS
        value = getattr(getattr(service.settings, key.section), key.name)
        assert value == getattr(getattr(settings, key.section), key.name), key.dotted
        assert (key.dotted in caplog.text) is not key.about["reload"], key.dotted
    circuits.settle(Ticket(), Cause.STORAGE)
    assert circuits.next_probe_in_s() == others.retries.first_s


def test_reload_with_a_contradiction_is_rejected(caplog: pytest.LogCaptureFixture) -> None:
    """Both were raised, and the one can follow only when the daemon is started anew."""
    new = attrs.evolve(DEFAULTS, batches=Batches(files=800), blocks=Blocks(files=900))
    service = Service(DEFAULTS, reload=lambda: new)
    service._take_over()
    assert service.settings == DEFAULTS
    assert "batches.files: 800 are more than blocks.files, 500, until it is started anew" in caplog.text


def test_batches_may_become_as_large_as_the_settings_say_later(tmp_path: Path) -> None:
    root = tmp_path / "onsite"
    root.mkdir()
    small = attrs.evolve(DEFAULTS, storage=Storage(root=root, rse="NORTH", site=Site.NORTH), batches=Batches(files=10))
    archive = InMemoryCatalogue([Rse(name="NORTH", prefix=str(root), site="CTAO-North")])
    with Journal(tmp_path / "journal.sqlite", by="test", now=lambda: NOW) as journal:
        context = context_of(lambda: small, journal, Clocks(now=lambda: NOW))
        size = open_registrar(context, archive, policy=Policy.load()).batches.size
    assert size.files >= 300
    assert size.largest == 1000


def test_values_as_toml_writes_them() -> None:
    values = ['with "quotes"', True, 1.5, ("a", "b"), None, 12, 1_000_000]
    assert [toml(value) for value in values] == [
        '"with \\"quotes\\""', "true", "1.5", '["a", "b"]', '""', "12", "1_000_000",
    ]  # fmt: skip
