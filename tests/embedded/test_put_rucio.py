"""Products of jobs and users, put into a real Rucio by accounts of their own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.archive import Bdms
from ctao_bdms.embedded import READER, ROOT
from ctao_bdms.embedded.namespace import retire_scopes
from ctao_bdms.model import Lfn, ReplicaState
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication import Policy
from ctao_bdms.testing.products import write_dl1
from tests.embedded.accounts import acting_as, config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.embedded import Instance
    from ctao_bdms.testing.plugin import RucioNamespace

DL3 = "dl3_evt_sub_Observation_ob2000000001_chunk{:03d}.fits"
NAME = "dl1_evt_tel_AirShower_ob2000000001_tel001_chunk{:03d}.h5"

#: A job: it puts a folder, tells what became of it and how many requests that took, and dies at one of them if told so.
JOB = """
import json, os, signal, sys
from ctao_bdms import connect
from ctao_bdms.errors import BdmsError
from ctao_bdms.model import NewProduct

folder, said, words, dies_at = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
bdms = connect()
bdms.catalogue.rses()
asked = []
def hook(response):
    asked.append(f"{response.request.method} {response.request.path_url[:60]}")
    if len(asked) == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
bdms.catalogue.count_requests(hook)
try:
    report = bdms.put(folder, product=NewProduct.of(**said), **words)
except BdmsError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error), "asked": asked}))
else:
    rows = [[o.status.value, str(o.lfn), o.block.name if o.block else "", [*map(str, o.defects)]] for o in report]
    print(json.dumps({"rows": rows, "asked": asked}))
"""


@attrs.frozen
class Job:
    """An account that puts products, and its scope."""

    config: Path
    scope: str
    user: str = ""

    def said(self) -> dict[str, str]:
        if self.user:
            return {"user": self.user, "folder": "irf"}
        return {"scope": self.scope, "release": "DataPipe/Observation/DR1", "night": "2026-11-21"}

    def start(self, folder: Path, dies_at: int = 0, **words: object) -> subprocess.Popen[str]:
        arguments = [str(folder), json.dumps(self.said()), json.dumps(words), str(dies_at)]
        return subprocess.Popen(
            [sys.executable, "-c", JOB, *arguments],
            env=os.environ | {"RUCIO_CONFIG": str(self.config)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def put(self, folder: Path, dies_at: int = 0, **words: object) -> Any:  # noqa: ANN401 (JSON)
        with self.start(folder, dies_at, **words) as job:
            said = job.communicate()[0]
        assert job.returncode == (-signal.SIGKILL if dies_at and not said else 0)
        return json.loads(said) if said else None


@pytest.fixture(scope="module")
def jobs(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Job]]:
    made = make_jobs(embedded_rucio_instance, tmp_path_factory.mktemp("accounts"))
    yield made
    retire_scopes(embedded_rucio_instance.home.path, [job.scope for job in made.values()])


def make_jobs(instance: Instance, folder: Path) -> dict[str, Job]:
    """Make an account of the workload management and one of a person, each with a scope and its directory."""
    mark = secrets.token_hex(3)
    template = instance.client_config(READER)
    made: dict[str, Job] = {}
    with ExitStack() as stack:
        root = stack.enter_context(acting_as(instance.client_config(ROOT)))
        person = f"ada{mark}"
        for role, account, scope, top, parent in (
            ("wms", f"wms-{mark}", f"dpps{mark}", f"/ctao/dpps{mark}", "/ctao"),
            ("user", person, f"user.{person}", f"/ctao/user/a/{person}", ""),
        ):
            root("add_account", account, "USER", f"{account}@localhost")
            root("add_identity", account, account, "USERPASS", f"{account}@localhost", True, "secret")
            root("add_account_attribute", account, "bdms-role", role)
            root("add_scope", account, scope)
            root("add_did", scope, top, "CONTAINER")
            if parent:
                root("attach_dids", "root", parent, [{"scope": scope, "name": top}])
            for rse in ("PIC-DISK", "CSCS-DISK"):
                root("set_local_account_limit", account, rse, -1 if role == "wms" else 1_000_000)
            cfg = config(template, folder, account)
            made[role] = Job(cfg, scope, person if role == "user" else "")
    return made


def write_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        write_dl1(folder / NAME.format(number), telescopes=(1,), events=4, seed=number)
    return folder


def test_a_job_archives_its_products_at_two_centres(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path
) -> None:
    wms, folder = jobs["wms"], write_folder(tmp_path / "a", 3)
    answer = wms.put(folder, storage="archive", near="CSCS")
    assert [row[0] for row in answer["rows"]] == ["registered"] * 3, answer
    block = answer["rows"][0][2]
    assert BlockName.parse(block).origin == "CSCS"
    bdms = Bdms(embedded_rucio.catalogue, policy=Policy.load())
    until = time.monotonic() + 200
    while not (state := bdms.rules.states(wms.scope)[0]).is_complete:
        assert time.monotonic() < until, state
        time.sleep(0.3)
    lfns = [Lfn(row[1]) for row in answer["rows"]]
    for file in bdms.catalogue.files(lfns).values():
        assert {r.rse: r.state for r in file.replicas} == dict.fromkeys(
            ["PIC-DISK", "CSCS-DISK"], ReplicaState.AVAILABLE
        )
    assert all(not each.problem for each in bdms.verify(lfns))
    again = wms.put(folder, storage="archive", near="PIC")
    assert [row[0] for row in again["rows"]] == ["known"] * 3
    assert len(bdms.catalogue.blocks(wms.scope, "*/blocks/*")) == 1


def test_a_block_of_many_files_is_registered_in_ten_requests(jobs: dict[str, Job], tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    for number in range(400):
        header = fits.Header({"DATALEVL": "DL3"})
        fits.PrimaryHDU(np.full(64, number), header).writeto(folder / DL3.format(number), checksum=True)
    answer = jobs["wms"].put(folder, storage="archive", near="PIC")
    assert {row[0] for row in answer["rows"]} == {"registered"}
    assert len({row[2] for row in answer["rows"]}) == 1
    # registration, manifest and rules; beside them the archive is asked what it has, before and after the upload
    looked = [request for request in answer["asked"] if "/replicas/list" in request]
    assert len(looked) <= 2, answer["asked"]
    assert len(answer["asked"]) - len(looked) <= 10, answer["asked"]


def test_a_job_that_is_killed_at_any_request_leaves_no_file_without_bytes(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path
) -> None:
    wms, catalogue = jobs["wms"], embedded_rucio.catalogue
    for dies_at in range(1, 12, 2):
        folder = tmp_path / f"{dies_at}"
        folder.mkdir()
        path = write_dl1(folder / NAME.format(dies_at + 600), telescopes=(1,), events=4, seed=dies_at)
        wms.put(folder, dies_at, storage="short-term", near="PIC")
        answer = wms.put(folder, storage="short-term", near="PIC")
        ((status, lfn, block, _),) = answer["rows"]
        assert status in {"registered", "known"}
        file = catalogue.files([Lfn(lfn)])[Lfn(lfn)]
        assert [replica.rse for replica in file.replicas] == ["PIC-DISK"]
        stored = embedded_rucio.instance.storage("PIC-DISK") / lfn[1:]
        assert stored.read_bytes() == path.read_bytes()
        assert not list(stored.parent.glob(".bdms-*"))
        assert len([did for did in file.datasets if is_block(did.name)]) == 1
        assert block


def test_two_jobs_that_put_the_same_file_at_once_make_one_product(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path
) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    write_dl1(folder / NAME.format(700), telescopes=(1,), events=4, seed=700)
    with jobs["wms"].start(folder, near="PIC") as one, jobs["wms"].start(folder, near="PIC") as two:
        answers = [json.loads(job.communicate()[0]) for job in (one, two)]
    assert not [answer for answer in answers if "error" in answer]
    assert {row[0] for answer in answers for row in answer["rows"]} <= {"registered", "known"}, [
        answer["rows"] for answer in answers
    ]
    (lfn,) = {row[1] for answer in answers for row in answer["rows"]}
    file = embedded_rucio.catalogue.files([Lfn(lfn)])[Lfn(lfn)]
    assert [replica.rse for replica in file.replicas] == ["PIC-DISK"]


def test_a_person_puts_into_the_own_area_within_the_quota(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path
) -> None:
    person, folder = jobs["user"], tmp_path / "d"
    folder.mkdir()
    (folder / "notes.txt").write_text("some thoughts")
    answer = person.put(folder, near="PIC")
    assert [row[0] for row in answer.get("rows", ())] == ["registered"], answer
    ((_, lfn, block, _),) = answer["rows"]
    assert lfn == f"/ctao/user/a/{person.user}/irf/notes.txt"
    (rule,) = embedded_rucio.catalogue.rules(person.scope, [block])[block]
    assert rule.expires is not None
    assert embedded_rucio.catalogue.room()["PIC-DISK"] == float("inf")  # the account of the ingest has no limit
    (folder / "large.txt").write_bytes(b"x" * 1_000_001)
    refused = person.put(folder, near="PIC")
    assert refused["error"] == "QuotaError", refused
    assert not (embedded_rucio.instance.storage("PIC-DISK") / f"ctao/user/a/{person.user}/large.txt").exists()


def test_a_person_cannot_put_products_of_the_observatory(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    write_dl1(folder / NAME.format(99), telescopes=(1,), events=4)
    intruder = attrs.evolve(jobs["user"], user="", scope=jobs["wms"].scope)
    refused = intruder.put(folder, near="PIC")
    # It is refused as a whole where directories would have to be made, and file by file where they are there.
    said = refused.get("error") or refused["rows"][0][0]
    assert said in {"ForbiddenError", "refused"}, refused
    products = Bdms(embedded_rucio.catalogue, policy=Policy.load()).query(scope=jobs["wms"].scope)
    assert NAME.format(99) not in {product.lfn.name for product in products}


def bdms_put(job: Job, folder: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run ``bdms put``; return its exit code, its rows, and what it says beside."""
    command = [
        sys.executable,
        "-c",
        "from ctao_bdms.cli import main; main()",
        "put",
        str(folder),
        "--json",
        "--rucio-config",
        str(job.config),
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, rows, done.stderr


def stored(instance: Instance, part: str) -> list[Path]:
    """Return the files with `part` in their path on all storage elements, temporary ones too."""
    return [path for path in instance.home.path.joinpath("storage").rglob("*") if part in str(path) and path.is_file()]


def test_who_may_only_read_uploads_nothing(
    embedded_rucio_instance: Instance, jobs: dict[str, Job], tmp_path: Path
) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "notes.txt").write_text("some thoughts")
    person = jobs["user"]
    reader = attrs.evolve(person, config=embedded_rucio_instance.client_config(READER))
    words = ("--user", person.user, "--folder", "byreader", "--near", "PIC")
    # where the directory is there as well as where it must be made
    for _ in range(2):
        code, rows, said = bdms_put(reader, folder, *words)
        assert code != 0
        assert not rows
        assert "more than the 0 that this account may still keep" in said
        assert not stored(embedded_rucio_instance, "byreader/notes.txt")
        (folder / "first.txt").write_text("first")
        bdms_put(person, folder / "first.txt", *words)
        (folder / "first.txt").unlink()
    assert len(stored(embedded_rucio_instance, "byreader/")) == 1


def test_where_there_is_no_scope_nothing_is_uploaded(
    embedded_rucio_instance: Instance, jobs: dict[str, Job], tmp_path: Path
) -> None:
    folder = tmp_path / "noscope"
    folder.mkdir()
    (folder / "notes.txt").write_text("some thoughts")
    code, rows, _ = bdms_put(jobs["wms"], folder, "--user", "nobodyhere", "--folder", "f", "--near", "PIC")
    assert code == 1
    assert [row["status"] for row in rows] == ["refused"]
    assert "scope user.nobodyhere does not exist" in str(rows[0])
    assert not stored(embedded_rucio_instance, "nobodyhere")


def test_the_ingest_account_leaves_nothing_at_a_centre(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path
) -> None:
    """It owns the scope and may make directories, but not register files at a data centre: known at the end only."""
    folder = tmp_path / "ingest"
    folder.mkdir()
    write_dl1(folder / NAME.format(1), telescopes=(1,), events=4)
    ingest = Job(embedded_rucio.instance.client_config(), embedded_rucio.scope)
    answer = ingest.put(folder, near="PIC")
    assert answer["error"] == "ForbiddenError", answer
    assert not stored(embedded_rucio.instance, f"{embedded_rucio.scope}/")


def test_links_are_followed_and_what_is_no_file_has_its_row(
    embedded_rucio_instance: Instance, jobs: dict[str, Job], tmp_path: Path
) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    (tmp_path / "result.txt").write_text("content")
    (folder / "link.txt").symlink_to("../result.txt")
    (folder / "hard.txt").hardlink_to(tmp_path / "result.txt")
    (folder / "dangling.txt").symlink_to("nowhere")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "folder.txt").symlink_to(".")
    os.mkfifo(folder / "fifo.txt")
    person = jobs["user"]
    words = ("--user", person.user, "--folder", "links", "--near", "PIC")
    code, rows, _ = bdms_put(person, folder, *words)
    assert code == 1
    assert {Path(row["path"]).name: row["status"] for row in rows} == {
        "link.txt": "registered",
        "hard.txt": "registered",
        **dict.fromkeys(("dangling.txt", "loop.txt", "folder.txt", "fifo.txt"), "refused"),
    }
    found = stored(embedded_rucio_instance, f"{person.user}/links/")
    assert {path.name: path.read_text() for path in found} == {"link.txt": "content", "hard.txt": "content"}
    for name in ("dangling.txt", "loop.txt", "folder.txt", "fifo.txt"):
        (folder / name).unlink()
    code, rows, _ = bdms_put(person, folder, *words)
    assert (code, {row["status"] for row in rows}) == (0, {"known"})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_put_that_is_ended_and_made_again_leaves_each_file_once(
    embedded_rucio: RucioNamespace, jobs: dict[str, Job], tmp_path: Path, how: signal.Signals
) -> None:
    """Ended when the bytes are there and the registration is not: at its request, which never comes."""
    person, folder, name = jobs["user"], tmp_path / "ended", f"ended{how.value}"
    folder.mkdir()
    for number in range(3):
        (folder / f"{name}{number}.txt").write_text(f"{number}")
    program = JOB.replace(
        "try:\n    report", f"bdms.catalogue.register = lambda *_: os.kill(os.getpid(), {how.value})\ntry:\n    report"
    )
    assert program != JOB
    command = [sys.executable, "-c", program, str(folder), json.dumps(person.said()), '{"near": "PIC"}', "0"]
    done = subprocess.run(
        command, env=os.environ | {"RUCIO_CONFIG": str(person.config)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    instance = embedded_rucio.instance
    assert len(stored(instance, name)) == (0 if how is signal.SIGINT else 3)
    answer = person.put(folder, near="PIC")
    assert [row[0] for row in answer["rows"]] == ["registered"] * 3, answer
    assert [row[0] for row in person.put(folder, near="PIC")["rows"]] == ["known"] * 3
    assert sorted(path.name for path in stored(instance, name)) == [f"{name}{number}.txt" for number in range(3)]
