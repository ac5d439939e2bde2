"""Products are refused before they are uploaded; an upload that was in vain is removed, or reported."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.errors import ForbiddenError, RefusedError, UnreachableError, UsageError
from ctao_bdms.ingest import Status
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import DefectKind, Lfn, NewProduct
from ctao_bdms.storage import FileSink
from ctao_bdms.upload import Put
from ctao_bdms.upload.deliver import deliver
from ctao_bdms.upload.put import read_products

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.put.archive import Archive

    from ctao_bdms.catalogue import InMemoryCatalogue
    from ctao_bdms.upload import PutReport

ADA = NewProduct.of(user="ada", folder="f")
FOLDER = "ctao/user/a/ada/f"


class Fails:
    """A catalogue with one method replaced."""

    def __init__(self, inner: InMemoryCatalogue, name: str, instead: Callable[..., Any]) -> None:
        self._inner, self._name, self._instead = inner, name, instead

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return self._instead if name == self._name else getattr(self._inner, name)


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_arguments: object, **_keywords: object) -> None:
        raise error

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"result {number}")
    return folder


def put(archive: Archive, folder: Path, catalogue: Any = None, product: NewProduct = ADA, **words: Any) -> PutReport:  # noqa: ANN401
    files = [(path, PurePath(path.name)) for path in sorted(folder.iterdir())]
    used = archive.catalogue if catalogue is None else catalogue
    return Put(
        catalogue=used,
        replication=attrs.evolve(archive.bdms.replication, catalogue=used),
        near="PIC",
        **words,
    ).run(read_products(files, product, vo="ctao"))


def bytes_of(archive: Archive) -> list[str]:
    return [PurePath(path).name for path in archive.files_on_storage()]


# --- asked first ---


def test_nothing_is_uploaded_into_an_unknown_scope(archive: Archive, folder: Path) -> None:
    uploaded: list[int] = []
    report = put(archive, folder, product=NewProduct.of(user="nobody", folder="f"), on_uploaded=uploaded.append)
    assert [outcome.status for outcome in report] == [Status.REFUSED] * 3
    assert all("user.nobody" in outcome.defects[0].message for outcome in report)
    assert not uploaded
    assert not bytes_of(archive)


def test_account_that_may_not_write_uploads_nothing(archive: Archive, folder: Path) -> None:
    uploaded: list[int] = []
    reader = Fails(archive.catalogue, "ensure_directories", raising(ForbiddenError("an account may only read")))
    with pytest.raises(ForbiddenError, match="only read"):
        put(archive, folder, reader, on_uploaded=uploaded.append)
    assert not uploaded
    assert not bytes_of(archive)


# --- taken back ---


@pytest.mark.parametrize("error", [ForbiddenError("no"), KeyboardInterrupt(), RuntimeError("a bug")])
def test_upload_that_cannot_be_registered_is_removed(archive: Archive, folder: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        put(archive, folder, Fails(archive.catalogue, "register", raising(error)))
    assert not bytes_of(archive)
    report = put(archive, folder)
    assert [outcome.status for outcome in report] == [Status.REGISTERED] * 3
    assert bytes_of(archive) == ["0.txt", "1.txt", "2.txt"]


def test_interrupted_upload_is_removed(archive: Archive, folder: Path) -> None:
    def interrupt(_: int) -> None:
        if bytes_of(archive).count("0.txt"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(archive, folder, on_uploaded=interrupt, jobs=1)
    assert not bytes_of(archive)


def test_refused_file_is_removed_and_the_others_stay(archive: Archive, folder: Path) -> None:
    def register(block: Any, rse: str, files: Any) -> None:  # noqa: ANN401
        if any(file.lfn.name == "1.txt" for file in files):
            raise RefusedError("its metadata are not taken")
        archive.catalogue.register(block, rse, files)

    report = put(archive, folder, Fails(archive.catalogue, "register", register))
    assert [outcome.status for outcome in report] == [Status.REGISTERED, Status.REFUSED, Status.REGISTERED]
    assert bytes_of(archive) == ["0.txt", "2.txt"]


def test_uploads_stay_and_are_reported_if_the_archive_stops_answering(archive: Archive, folder: Path) -> None:
    """The registration may have arrived: the catalogue would then have a file without bytes."""
    silent = Fails(archive.catalogue, "register", raising(UnreachableError("the server does not answer")))
    with pytest.raises(UnreachableError, match=r"3 files were brought to PIC-DISK .* put the same again"):
        put(archive, folder, silent)
    assert bytes_of(archive) == ["0.txt", "1.txt", "2.txt"]
    report = put(archive, folder)
    assert [outcome.status for outcome in report] == [Status.REGISTERED] * 3
    assert bytes_of(archive) == ["0.txt", "1.txt", "2.txt"]


def test_upload_that_cannot_be_removed_is_named_with_its_place(
    archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(FileSink, "take_back", fail)
    refusing = Fails(archive.catalogue, "register", raising(RefusedError("not taken")))
    (outcome, *_) = put(archive, folder, refusing)
    place = f"file://localhost{archive.home}/PIC/{FOLDER}/0.txt"
    assert [defect.kind for defect in outcome.defects] == [DefectKind.CATALOGUE, DefectKind.STORAGE]
    assert place in outcome.defects[1].message
    assert "Input/output error" in outcome.defects[1].message


# --- never what somebody else needs ---


@pytest.fixture
def brought(archive: Archive, folder: Path) -> tuple[FileSink, Lfn, Path]:
    """A file at a storage element that is not registered."""
    sink, lfn, source = FileSink(archive.home / "PIC"), Lfn(f"/{FOLDER}/0.txt"), folder / "0.txt"
    size, digests = digest_file(source)
    deliver(sink, source, lfn, size_bytes=size, adler32=digests["adler32"])
    return sink, lfn, archive.home / "PIC" / FOLDER / "0.txt"


def test_unclaimed_and_unregistered_bytes_are_removed(
    brought: tuple[FileSink, Lfn, Path],
) -> None:
    sink, lfn, path = brought
    assert sink.take_back(lfn, lambda: False)
    assert not list(path.parent.iterdir())
    assert sink.take_back(lfn, lambda: False)


def test_bytes_in_a_folder_claimed_by_another_stay(brought: tuple[FileSink, Lfn, Path]) -> None:
    sink, lfn, path = brought
    with sink.claim(lfn):
        assert not sink.take_back(lfn, lambda: False)
        assert path.read_text() == "result 0"
    assert sink.take_back(lfn, lambda: False)


def test_registered_bytes_stay(brought: tuple[FileSink, Lfn, Path]) -> None:
    sink, lfn, path = brought
    assert not sink.take_back(lfn, lambda: True)
    assert path.read_text() == "result 0"


def test_folder_cannot_be_claimed_during_a_removal(brought: tuple[FileSink, Lfn, Path]) -> None:
    sink, lfn, path = brought
    claimed: list[bool] = []

    def claim() -> None:
        with sink.claim(lfn):
            claimed.append(path.exists())

    other = threading.Thread(target=claim)

    def is_known() -> bool:
        other.start()
        other.join(0.2)
        assert not claimed
        return False

    assert sink.take_back(lfn, is_known)
    other.join(10)
    assert claimed == [False]


def test_nothing_is_removed_from_folders_that_cannot_be_locked(
    brought: tuple[FileSink, Lfn, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS locks only files that are open for writing."""
    sink, lfn, path = brought

    def flock(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", flock)
    with sink.claim(lfn):
        assert path.exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        sink.take_back(lfn, lambda: False)
    assert path.exists()


def test_refused_put_never_removes_the_bytes_of_a_registered_one(archive: Archive, folder: Path) -> None:
    """Two puts of the same file at the same time, repeatedly: all registered files keep their bytes."""
    refusing = Fails(archive.catalogue, "register", raising(ForbiddenError("no")))
    lost = []
    for number in range(60):
        said = NewProduct.of(user="ada", folder=f"f{number}")
        barrier = threading.Barrier(2)

        def run(catalogue: Any, said: NewProduct = said, barrier: threading.Barrier = barrier) -> None:  # noqa: ANN401
            barrier.wait()
            with suppress(ForbiddenError):
                put(archive, folder, catalogue, said)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, [refusing, archive.catalogue]))
        for name in ("0.txt", "1.txt", "2.txt"):
            lfn = Lfn(f"/ctao/user/a/ada/f{number}/{name}")
            if archive.catalogue.files([lfn]) and not (archive.home / "PIC" / str(lfn)[1:]).exists():
                lost.append(lfn)
    assert not lost
    assert not [name for name in bytes_of(archive) if name.startswith(".")]


# --- links and what is no file ---


def _make(path: Path, kind: str, store: Path) -> None:
    if kind == "hard link":
        path.hardlink_to(store / "result.txt")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    else:
        target = {
            "link": "../store/result.txt",
            "absolute link": str(store / "result.txt"),
            "link to a link": "../store/link.txt",
            "dangling link": "nowhere",
            "loop": path.name,
            "link to a folder": "../store",
            "link to a fifo": "../store/fifo",
            "link to a device": "/dev/null",
        }[kind]
        path.symlink_to(target)


@pytest.mark.parametrize(
    ("kind", "defect", "says"),
    [
        ("link", None, ""),
        ("absolute link", None, ""),
        ("link to a link", None, ""),
        ("hard link", None, ""),
        ("dangling link", DefectKind.MISSING, "link to nowhere"),
        ("loop", DefectKind.UNREADABLE, "link to x.txt"),
        ("link to a folder", DefectKind.NOT_A_FILE, "link to ../store: "),
        ("link to a fifo", DefectKind.NOT_A_FILE, "link to ../store/fifo: "),
        ("link to a device", DefectKind.NOT_A_FILE, "link to /dev/null: "),
        ("fifo", DefectKind.NOT_A_FILE, "FIFO"),
        ("socket", DefectKind.NOT_A_FILE, "socket"),
    ],
)
@pytest.mark.parametrize("is_given", [True, False], ids=["given", "in a folder"])
def test_links_to_files_are_followed_and_other_entries_are_refused(
    archive: Archive, tmp_path: Path, kind: str, defect: DefectKind | None, says: str, is_given: bool
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    store.mkdir()
    out.mkdir()
    (store / "result.txt").write_text("content")
    (store / "link.txt").symlink_to("result.txt")
    os.mkfifo(store / "fifo")
    _make(out / "x.txt", kind, store)
    if is_given and kind == "link to a folder":  # a folder that is given is put with everything in it
        report = archive.bdms.put(out / "x.txt", product=ADA, near="PIC")
        assert {outcome.file for outcome in report} == {"result.txt", "link.txt", "fifo"}
        return
    (outcome,) = archive.bdms.put(out / "x.txt" if is_given else out, product=ADA, near="PIC")
    assert outcome.file == "x.txt"
    stored = archive.home / "PIC" / FOLDER / "x.txt"
    if defect is None:
        assert (outcome.status, outcome.defects) == (Status.REGISTERED, ())
        assert stored.read_text() == "content"
        assert not stored.is_symlink()
        assert archive.bdms.put(out, product=ADA, near="PIC")[0].status is Status.KNOWN
    else:
        assert outcome.status is Status.REFUSED
        assert [each.kind for each in outcome.defects] == [defect]
        assert says in outcome.defects[0].message
        assert not bytes_of(archive)


def test_two_links_to_one_file_are_two_products(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "result.txt").write_text("content")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.txt", "b.txt"):
        (out / name).symlink_to("../result.txt")
    report = archive.bdms.put(out, product=ADA, near="PIC")
    assert [(outcome.file, outcome.status) for outcome in report] == [
        ("a.txt", Status.REGISTERED),
        ("b.txt", Status.REGISTERED),
    ]


def test_link_that_changes_its_target_is_refused(archive: Archive, tmp_path: Path) -> None:
    out, later = tmp_path / "out", tmp_path / "later.txt"
    out.mkdir()
    (tmp_path / "now.txt").write_text("content")
    later.write_text("other content")
    link = out / "x.txt"
    link.symlink_to("../now.txt")
    items = read_products([(link, PurePath("x.txt"))], ADA, vo="ctao")
    link.unlink()
    link.symlink_to("../later.txt")
    (outcome,) = Put(catalogue=archive.catalogue, replication=archive.bdms.replication, near="PIC").run(items)
    assert outcome.status is Status.REFUSED
    assert not bytes_of(archive)


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
def test_unreadable_folder_raises(archive: Archive, folder: Path) -> None:
    shut = folder / "shut"
    shut.mkdir(mode=0)
    with pytest.raises(UsageError, match="shut cannot be listed"):
        archive.bdms.put(folder, product=ADA, near="PIC")


def test_loop_of_links_ends(archive: Archive, folder: Path) -> None:
    (folder / "again").symlink_to(".")
    report = archive.bdms.put(folder, product=ADA, near="PIC")
    assert [outcome.status for outcome in report] == [Status.REGISTERED] * 3 + [Status.REFUSED]
    assert report[3].defects[0].kind is DefectKind.NOT_A_FILE
