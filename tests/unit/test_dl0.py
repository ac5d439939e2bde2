from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from protozfits import File

from ctao_bdms.errors import UsageError
from ctao_bdms.integrity import scan
from ctao_bdms.model import DataLevel, Lfn, Night, ProductMetadata, Site, Verdict
from ctao_bdms.naming import AcadaPath, Stream
from ctao_bdms.testing.dl0 import Dl0Kind, Dl0Spec, night_specs, write_dl0, write_night

NIGHT = Night(dt.date(2026, 11, 21))
START = dt.datetime(2026, 11, 21, 22, 15, tzinfo=dt.UTC)
SMALL = {"events": 3, "pixels": 30, "samples": 5}


def spec(kind: Dl0Kind = Dl0Kind.TELESCOPE, **more: object) -> Dl0Spec:
    values = {"ae_id": 1, "night": NIGHT, "start": START, "obs_id": 2000000001, "sb_id": 2000000001, **SMALL, **more}
    return Dl0Spec(kind=kind, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "ae_id", "path"),
    [
        (
            Dl0Kind.TELESCOPE,
            1,
            "/ctao/acada/DL0/LSTN-01/ctao-n-acada/acada-adh/events/2026/11/21/TEL001_SDH0001_20261121T221500_"
            "SBID2000000001_OBSID2000000001_TEL_SHOWER_CHUNK000.fits.fz",
        ),
        (
            Dl0Kind.SUBARRAY,
            1,
            "/ctao/acada/DL0/ARRAY/ctao-n-acada/acada-adh/events/2026/11/21/SUB001_SWAT000_20261121T221500_"
            "SBID2000000001_OBSID2000000001_SUBARRAY_CHUNK000.fits.fz",
        ),
        (
            Dl0Kind.TRIGGER,
            1,
            "/ctao/acada/DL0/ARRAY/ctao-n-acada/acada-adh/triggers/2026/11/21/SUB001_SWAT000_20261121T221500_"
            "SBID2000000001_OBSID2000000001_TEL_CHUNK000.fits.fz",
        ),
    ],
)
def test_layout_is_that_of_the_acquisition(kind: Dl0Kind, ae_id: int, path: str, tmp_path: Path) -> None:
    written = write_dl0(spec(kind, ae_id=ae_id), tmp_path)
    assert written.lfn == Lfn(path)
    assert written.path == tmp_path / path[1:]
    assert written.trigger == Path(f"{written.path}.trigger")
    assert written.trigger.is_symlink()
    assert written.trigger.resolve() == written.path
    assert sorted(found.name for found in written.path.parent.iterdir()) == [written.path.name, written.trigger.name]


@pytest.mark.parametrize("kind", Dl0Kind)
def test_content_is_what_protozfits_reads(kind: Dl0Kind, tmp_path: Path) -> None:
    written = write_dl0(spec(kind, events=130), tmp_path)
    with File(str(written.path)) as tables:
        stream = tables.DataStream[0]
        assert (stream.sb_id, stream.obs_id) == (2000000001, 2000000001)
        if kind is Dl0Kind.TELESCOPE:
            assert tables.CameraConfiguration[0].num_pixels == 30
            events = list(tables.Events)
            assert [event.event_id for event in events] == list(range(1, 131))
            assert all(event.waveform.shape == (150,) for event in events)
            assert events[0].waveform.tolist() != events[1].waveform.tolist()
            assert START.timestamp() <= events[0].event_time_s <= START.timestamp() + 6
        elif kind is Dl0Kind.SUBARRAY:
            assert len(list(tables.SubarrayEvents)) == 130
        else:
            assert len(list(tables.Triggers)) == 130


@pytest.mark.parametrize("kind", Dl0Kind)
def test_every_file_is_good_and_names_itself(kind: Dl0Kind, tmp_path: Path) -> None:
    written = write_dl0(spec(kind, chunk=7), tmp_path)
    facts = scan(written.path)
    assert facts.verdict is Verdict.GOOD
    assert (facts.size_bytes, facts.adler32, facts.sha256) == (written.size_bytes, written.adler32, written.sha256)
    metadata, defects = ProductMetadata.from_keywords(facts.keywords)
    assert defects == ()
    assert metadata.missing(DataLevel.DL0) == ()
    name = AcadaPath.parse(written.lfn).name
    assert metadata["instance__obs_id"] == name.obs_id == 2000000001
    assert metadata["acquisition__sb_id"] == name.sb_id == 2000000001
    assert metadata["instance__chunk_id"] == name.chunk_id == 7
    assert metadata["instance__data_source"] == name.source
    assert metadata["observation__coverage__time__t_min"] == name.start == START
    assert metadata["observation__coverage__time__t_max"] == START + dt.timedelta(seconds=6)
    assert metadata["instance__observing_night"] == NIGHT.date
    assert metadata.get("instance__ae_id") == (1 if kind is Dl0Kind.TELESCOPE else None)
    assert metadata["contact__organization"] == "CTAO"


@pytest.mark.parametrize("kind", Dl0Kind)
def test_a_spec_gives_the_same_bytes_at_any_time(kind: Dl0Kind, tmp_path: Path) -> None:
    first = write_dl0(spec(kind), tmp_path / "a")
    for hdu in scan(first.path).hdus[1:]:
        # Left alone, protozfits would stamp the present time here.
        assert (hdu.keywords["DATE"], hdu.keywords["DATE-END"]) == ("2026-11-21T22:15:00", "2026-11-21T22:15:06")
    again = write_dl0(spec(kind), tmp_path / "b")
    other = write_dl0(spec(kind, seed=1), tmp_path / "c")
    assert again.path.read_bytes() == first.path.read_bytes()
    assert other.lfn == first.lfn
    assert other.sha256 != first.sha256


def test_a_second_writing_replaces_file_and_trigger(tmp_path: Path) -> None:
    write_dl0(spec(seed=1), tmp_path)
    written = write_dl0(spec(seed=2), tmp_path)
    assert scan(written.path).sha256 == written.sha256
    assert written.trigger.is_symlink()
    assert not write_dl0(spec(chunk=1), tmp_path, trigger=False).trigger.is_symlink()


def test_a_night_has_all_streams_under_names_of_their_own(tmp_path: Path) -> None:
    told: list[Path] = []
    specs = night_specs(24, megabytes=0.2)
    written = write_night(tmp_path, specs, lambda file: told.append(file.path))
    assert [file.spec for file in written] == specs
    assert told == [file.path for file in written]
    assert len({file.lfn for file in written}) == len({file.sha256 for file in written}) == 24
    assert {AcadaPath.parse(file.lfn).name.stream for file in written} == {
        Stream.TELESCOPE_EVENTS,
        Stream.SUBARRAY_EVENTS,
        Stream.TELESCOPE_TRIGGERS,
    }
    assert {AcadaPath.parse(file.lfn).element for file in written} == {"LSTN-01", "LSTN-02", "LSTN-03", "ARRAY"}
    assert len({file.spec.obs_id for file in written}) == 2
    assert {scan(file.path).verdict for file in written} == {Verdict.GOOD}


@pytest.mark.parametrize("n_files", [0, 1, 120, 24000])
def test_every_start_lies_in_the_night(n_files: int) -> None:
    specs = night_specs(n_files, night=NIGHT)
    assert len({str(one.lfn) for one in specs}) == n_files
    assert {Night.of(one.start, Site.NORTH) for one in specs} <= {NIGHT}
    assert [one.start for one in specs] == sorted(one.start for one in specs)


def test_the_size_asked_for_is_about_the_size_written(tmp_path: Path) -> None:
    for megabytes in (1.0, 5.0, 30.0):
        written = write_dl0(night_specs(1, megabytes=megabytes)[0], tmp_path)
        assert written.size_bytes == pytest.approx(megabytes * 1e6, rel=0.15)


@pytest.mark.parametrize(("n_files", "telescopes"), [(24001, 3), (-1, 3), (1, 0), (1, 20)])
def test_a_night_that_cannot_be(n_files: int, telescopes: int) -> None:
    with pytest.raises(UsageError, match="telescopes"):
        night_specs(n_files, telescopes=telescopes)


def test_writing_prints_nothing_and_printing_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys; from ctao_bdms.testing.dl0 import *; print('before', flush=True);"
        "write_night(sys.argv[1], night_specs(2, megabytes=0.2)); print('after')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "")
