"""Fetching from a real Rucio: bad copies are declared and healed, ^C leaves what is continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.access import Fetching
from ctao_bdms.embedded import INGEST, READER, ROOT
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import ReplicaState
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.model import Lfn
    from ctao_bdms.testing.plugin import RucioNamespace

PIC = "PIC-DISK"


def fill(rucio: RucioNamespace, contents: list[bytes], *rses: str) -> list[Lfn]:
    """Put files on site into the archive, and copies to other places by rules; return their names."""
    files = []
    for number, content in enumerate(contents):
        adler32 = f"{zlib.adler32(content):08x}"
        files.append(registration(rucio.scope, number, size_bytes=len(content), adler32=adler32))
        place = copy_of(rucio, files[-1].lfn, ONSITE)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    catalogue, block = rucio.catalogue, block_of(rucio.scope)
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    catalogue.close_block(block)
    for rse in (ONSITE, *rses):
        catalogue.add_rule(block, rse_expression=rse)
    lfns = [file.lfn for file in files]
    for rse in rses:
        wait_for_copies(rucio, lfns, rse)
    return lfns


def copy_of(rucio: RucioNamespace, lfn: Lfn, rse: str) -> Path:
    return rucio.instance.storage(rse) / str(lfn)[1:]


def wait_for_copies(rucio: RucioNamespace, lfns: list[Lfn], rse: str, patience_s: float = 240) -> None:
    end = time.monotonic() + patience_s
    while True:
        copies = [file.at(rse) for file in rucio.catalogue.files(lfns).values()]
        if len(copies) == len(lfns) and all(copy and copy.state is ReplicaState.AVAILABLE for copy in copies):
            return
        assert time.monotonic() < end, copies
        time.sleep(0.2)


def bdms(rucio: RucioNamespace, account: str, *arguments: str) -> subprocess.Popen[str]:
    """Start ``bdms`` as an account."""
    command = [sys.executable, "-c", "import sys; from ctao_bdms.cli import main; sys.exit(main())", *arguments]
    config = ["--rucio-config", str(rucio.instance.client_config(account)), "--json"]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *config], stdout=pipe, stderr=pipe, text=True, env=os.environ)


def test_names_of_all_kinds_are_fetched(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    contents = [os.urandom(10_000) for _ in range(6)]
    lfns = fill(embedded_rucio, contents)
    archive, scope = embedded_rucio.bdms, embedded_rucio.scope
    (block,) = archive.catalogue.blocks(scope, f"/ctao/{scope}/blocks/*")
    asked: list[tuple[dict[str, Any], list[Lfn]]] = [
        ({"names": lfns[:2]}, lfns[:2]),
        ({"directory": lfns[0].parent}, [lfns[0], lfns[4]]),
        ({"directory": f"/ctao/{scope}/DL0"}, lfns),
        ({"block": block.did}, lfns),
        ({"scope": scope, "telescope": "LSTN-02"}, [lfns[1], lfns[5]]),
    ]
    for number, (words, wanted) in enumerate(asked):
        fetched = archive.retrieve(folder=tmp_path / str(number), **words)
        assert {each.lfn for each in fetched} == set(wanted)
        assert {each.status for each in fetched} == {Fetching.FETCHED}
        assert all(each.path.read_bytes() == contents[lfns.index(each.lfn)] for each in fetched)
    with archive.open(lfns[3], verify=True) as stream:
        assert stream.read() == contents[3]


def test_many_names_cost_one_request(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    lfns = fill(embedded_rucio, [bytes([number]) for number in range(40)])
    archive = embedded_rucio.bdms
    archive.catalogue.rses()
    asked: list[str] = []
    embedded_rucio.catalogue.count_requests(lambda answer: asked.append(answer.request.path_url))
    assert len(archive.retrieve(lfns, tmp_path)) == len(lfns)
    assert asked == ["/replicas/list"]


@pytest.mark.parametrize("account", [ROOT, INGEST, READER])
def test_a_bad_copy_is_passed_over_and_told(embedded_rucio: RucioNamespace, tmp_path: Path, account: str) -> None:
    content = os.urandom(200_000)
    (lfn,) = fill(embedded_rucio, [content], PIC)
    place = copy_of(embedded_rucio, lfn, PIC)
    place.chmod(0o644)
    place.write_bytes(b"x" + content[1:])
    process = bdms(embedded_rucio, account, "get", str(lfn), "--to", str(tmp_path), "--near", "PIC")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (row,) = map(json.loads, out.splitlines())
    assert (row["status"], row["rse"]) == ("fetched", ONSITE)
    assert (tmp_path / lfn.name).read_bytes() == content
    (trouble,) = row["troubles"]
    assert (trouble["rse"], trouble["fault"]) == (PIC, "bad")
    if account == ROOT:
        assert trouble["told"] == "it was declared bad"
        end = time.monotonic() + 200
        while digest_file(place).digests["adler32"] != f"{zlib.adler32(content):08x}" if place.exists() else True:
            assert time.monotonic() < end, "Rucio did not make a new copy"
            time.sleep(0.2)
        wait_for_copies(embedded_rucio, [lfn], PIC)
    else:
        assert f"rucio replica state update bad {trouble['pfn']} --reason" in trouble["told"]
        wait_for_copies(embedded_rucio, [lfn], PIC)


def test_the_last_copy_is_kept_whoever_finds_it_bad(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    content = os.urandom(200_000)
    (lfn,) = fill(embedded_rucio, [content])
    place = copy_of(embedded_rucio, lfn, ONSITE)
    place.chmod(0o644)
    place.write_bytes(b"x" + content[1:])
    process = bdms(embedded_rucio, ROOT, "get", str(lfn), "--to", str(tmp_path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    (row,) = map(json.loads, out.splitlines())
    assert (row["status"], row["troubles"][0]["fault"]) == ("failed", "bad")
    assert "fetch it on another machine" in row["troubles"][0]["told"]
    copy = embedded_rucio.catalogue.files([lfn])[lfn].at(ONSITE)
    assert copy
    assert copy.state is ReplicaState.AVAILABLE, "Rucio would mark the file as lost and delete it"
    assert place.read_bytes()[1:] == content[1:]


def test_an_interrupted_command_is_continued(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    content = os.urandom(1_000_000) * 300
    (lfn,) = fill(embedded_rucio, [content])
    arguments = ["get", str(lfn), "--to", str(tmp_path)]
    process = bdms(embedded_rucio, INGEST, *arguments)
    while not any(part.stat().st_size > 8_000_000 for part in tmp_path.glob(".*.part")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part")
    process = bdms(embedded_rucio, INGEST, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["status"] == "fetched"
    assert [path.name for path in tmp_path.iterdir()] == [lfn.name]
    assert (tmp_path / lfn.name).read_bytes() == content
