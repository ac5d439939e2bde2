"""Random files, good and bad, beside CFITSIO and astropy: nothing may differ but what the table of rows explains."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import astropy
import pytest

from ctao_bdms.model import Night
from ctao_bdms.testing.dl0 import Dl0Kind, Dl0Spec, write_content
from tests.differential.cfitsio import by_cfitsio, version
from tests.differential.comparing import differences
from tests.differential.disagreements import DISAGREEMENTS, explain
from tests.differential.files import good_file
from tests.differential.mutations import mutated
from tests.differential.views import by_astropy, by_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FILES = 1200
_ZFITS = 150
_SEED = 20261122


class Tally:
    """What was compared, and with what result."""

    def __init__(self) -> None:
        self.files = self.bad = self.parts = 0
        self.agree: Counter[str] = Counter()
        self.rows: Counter[tuple[str, str]] = Counter()

    def compare(self, content: bytes, path: Path) -> Iterator[str]:
        """Compare one file with both readers; yield what no row explains."""
        path.write_bytes(content)
        ours = by_us(content)
        self.files += 1
        self.bad += ours.is_bad()
        self.parts += len(ours.parts)
        for reader, theirs in (("cfitsio", by_cfitsio(path)), ("astropy", by_astropy(path))):
            found = list(differences(reader, content, ours, theirs))
            self.agree[reader] += not found
            for difference in found:
                row = explain(difference)
                if row is None:
                    yield str(difference)
                else:
                    self.rows[reader, row.key] += 1

    def lines(self, what: str) -> Iterator[str]:
        yield f"differential: {self.files} {what}, of which we call {self.bad} bad; {self.parts} parts"
        for reader, release in (("cfitsio", version()), ("astropy", astropy.__version__)):
            yield f"{reader} {release}: {self.agree[reader]} agree, {self.files - self.agree[reader]} differ as known:"
            for row in DISAGREEMENTS:
                if row.reader == reader and self.rows[reader, row.key]:
                    yield f"  {self.rows[reader, row.key]:6}  {row.key}: {row.situation}"


def _option(config: pytest.Config, name: str, default: int) -> int:
    value = config.getoption(name)
    return default if value is None else int(value)


def test_random_files(
    tmp_path: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    count = _option(pytestconfig, "differential_files", _FILES)
    seed = _option(pytestconfig, "differential_seed", _SEED)
    tally, unexplained = Tally(), []
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        recipe, content = good_file(chance)
        damage, content = mutated(chance, content)
        for what in tally.compare(content, tmp_path / "x.fits"):
            unexplained += [f"seed {seed} file {number} ({recipe}; {damage}): {what}"]
    record_property("differential", json.dumps(list(tally.lines("random files"))))
    assert not unexplained, "\n".join(unexplained)
    # A run that agrees because nothing was tried would prove nothing.
    assert count < _FILES or all(tally.agree[reader] > count / 2 for reader in ("cfitsio", "astropy"))
    assert count < _FILES or count / 5 < tally.bad < count


def test_the_same_seed_makes_the_same_file() -> None:
    def made(number: int) -> tuple[str, bytes]:
        return mutated(chance := random.Random(f"1 {number}"), good_file(chance)[1])

    assert [made(number) for number in range(50)] == [made(number) for number in range(50)]


@pytest.fixture(scope="module", params=list(Dl0Kind), ids=str)
def genuine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("dl0") / "x.fits.fz"
    start = dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC)
    spec = Dl0Spec(
        kind=request.param, ae_id=1, night=Night(start.date()), start=start, obs_id=1, sb_id=1, events=3, pixels=20
    )
    write_content(spec, path)
    return path.read_bytes()


def test_genuine_files_with_damage(
    genuine: bytes,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    seed = _option(pytestconfig, "differential_seed", _SEED)
    tally, unexplained = Tally(), list[str]()
    assert not list(tally.compare(genuine, tmp_path / "x.fits"))
    assert tally.agree == {"cfitsio": 1, "astropy": 1}
    for number in range(_option(pytestconfig, "differential_files", 3 * _ZFITS) // 3):
        damage, content = mutated(random.Random(f"{seed} {number}"), genuine)
        for what in tally.compare(content, tmp_path / "x.fits"):
            unexplained += [f"seed {seed} file {number} ({damage}): {what}"]
    title = f"files of protozfits ({request.node.callspec.id})"
    record_property("differential zfits", json.dumps(list(tally.lines(title))))
    assert not unexplained, "\n".join(unexplained)
