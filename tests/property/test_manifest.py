"""Manifests of blocks: the same bytes for the same block, nothing lost, and what RFC 8493 asks for."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import bagit
import hypothesis.strategies as st
import pytest
from hypothesis import given

from ctao_bdms.blocks import BlockManifest, close_block, compare_manifest, compare_stored_manifest, manifest_of
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import ForbiddenError, InvalidNameError, ManifestError, StorageError
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import METADATA, Lfn, Product, ProductMetadata, Rse, Value, ValueType
from ctao_bdms.naming import BlockName, ManifestName, explain_name, is_manifest, path_of_lfn, read_lfn
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.model import Did, Registration

BLOCK = BlockName.parse("/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T200000-0a1b2c3d")
_VALUES: dict[ValueType, st.SearchStrategy[Value]] = {
    ValueType.STR: st.text(max_size=20),
    ValueType.INT: st.integers(-(2**63), 2**63 - 1),
    ValueType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    ValueType.BOOL: st.booleans(),
    ValueType.TIME: st.datetimes(timezones=st.just(dt.UTC)),
    ValueType.DATE: st.dates(),
}
_METADATA = st.lists(st.sampled_from(sorted(METADATA)), unique=True, max_size=6).flatmap(
    lambda keys: st.fixed_dictionaries({key: _VALUES[METADATA[key].type] for key in keys})
)
_NAMES = st.from_regex(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,9}", fullmatch=True)
_DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def products(draw: st.DrawFn, *, has_digest: bool = True) -> Product:
    metadata = draw(_METADATA)
    if has_digest:
        metadata = {**metadata, "integrity__sha256": draw(_DIGESTS)}
    else:
        metadata.pop("integrity__sha256", None)
    return Product(
        lfn=Lfn("/ctao/acada/DL0/" + "/".join(draw(st.lists(_NAMES, min_size=1, max_size=3)))),
        size_bytes=draw(st.integers(0, 2**50)),
        adler32=f"{draw(st.integers(0, 2**32 - 1)):08x}",
        metadata=ProductMetadata(metadata),
    )


_BLOCKS = st.lists(products(), min_size=1, max_size=5, unique_by=lambda product: product.lfn)


@given(_BLOCKS, st.randoms())
def test_what_is_written_is_read_and_the_bytes_do_not_depend_on_the_order(files: list[Product], dice: object) -> None:
    manifest = BlockManifest(BLOCK.did, files)
    content = manifest.to_bytes()
    assert BlockManifest.parse(content) == manifest
    dice.shuffle(files)  # type: ignore[attr-defined]
    assert BlockManifest(BLOCK.did, files).to_bytes() == content
    assert list(compare_manifest(manifest, BLOCK.did, files)) == []


@given(_BLOCKS, products(has_digest=False))
def test_a_file_whose_sha256_is_not_known_has_its_adler32(files: list[Product], other: Product) -> None:
    manifest = BlockManifest(BLOCK.did, [*(file for file in files if file.lfn != other.lfn), other])
    assert BlockManifest.parse(manifest.to_bytes()) == manifest
    assert "manifest-adler32.txt" in _unpacked(manifest)


@given(_BLOCKS, st.data())
def test_no_byte_of_a_tag_file_can_change_unseen(files: list[Product], data: st.DataObject) -> None:
    content = BlockManifest(BLOCK.did, files).to_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        entry = data.draw(st.sampled_from([entry for entry in tar if entry.size]))
    place = entry.offset_data + data.draw(st.integers(0, entry.size - 1))
    damaged = bytearray(content)
    damaged[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ManifestError):
        BlockManifest.parse(bytes(damaged))


@given(st.binary(max_size=3000))
def test_what_is_no_manifest_is_told(content: bytes) -> None:
    with pytest.raises(ManifestError):
        BlockManifest.parse(content)


def _product(number: int = 0, content: bytes = b"x") -> Product:
    import hashlib
    import zlib

    file = registration("acada", number)
    metadata = {**file.metadata, "integrity__sha256": hashlib.sha256(content).hexdigest()}
    return Product(
        lfn=file.lfn,
        size_bytes=len(content),
        adler32=f"{zlib.adler32(content):08x}",
        metadata=ProductMetadata(metadata),
    )


def _unpacked(manifest: BlockManifest) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(manifest.to_bytes())) as tar:
        pieces = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
        return {name.partition("/")[2]: piece.read().decode() for name, piece in pieces.items() if piece is not None}


@pytest.mark.filterwarnings("ignore:'count' is passed as positional argument:DeprecationWarning")  # bagit's own
def test_another_program_reads_the_bag_and_verifies_what_was_fetched(tmp_path: Path) -> None:
    contents = {number: f"content {number}".encode() for number in range(3)}
    manifest = BlockManifest(BLOCK.did, [_product(number, content) for number, content in contents.items()])
    with tarfile.open(fileobj=io.BytesIO(manifest.to_bytes())) as tar:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in tar} == {(int(BLOCK.opened.timestamp()), 0, "")}
        tar.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    assert folder.name == str(BLOCK).rpartition("/")[2]
    bag = bagit.Bag(str(folder))
    assert bag.info["External-Identifier"] == str(BLOCK.did)
    with pytest.raises(bagit.BagError, match="Payload-Oxum"):
        bag.validate()
    for url, size, path in bag.fetch_entries():
        content = contents[int(url.rpartition(".fits")[0][-4:])]
        assert (url, int(size)) == (f"rucio://acada{path.removeprefix('data')}", len(content))
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    assert bagit.Bag(str(folder)).validate()
    (folder / path).write_bytes(b"Content 2")
    with pytest.raises(bagit.BagError, match="sha256"):
        bagit.Bag(str(folder)).validate()


def test_what_does_not_agree_is_named() -> None:
    manifest = BlockManifest(BLOCK.did, [_product(0), _product(1), _product(2)])
    changed = ProductMetadata({**_product(2).metadata, "disclaimer": "clouds"})
    known = [_product(1, b"yz"), Product(lfn=_product(2).lfn, size_bytes=1, adler32="00790079", metadata=changed)]
    found = list(compare_manifest(manifest, block_of("acada"), [*known, _product(3)]))
    assert found[0].startswith(f"it is the manifest of {BLOCK.did}")
    assert found[1] == f"it names {_product(0).lfn}, which is not in the block"
    assert found[2] == f"it does not name {_product(3).lfn}, which is in the block"
    assert found[3].startswith("it says 1 bytes")
    assert found[-1] == f"it says other metadata of {_product(2).lfn} than the catalogue: disclaimer"


@pytest.mark.parametrize("number", [1, 2, 17])
def test_the_name_of_a_manifest(number: int) -> None:
    name = ManifestName(block=BLOCK, number=number)
    assert ManifestName.parse(str(name)) == name == read_lfn(name.lfn)
    assert is_manifest(str(name))
    assert explain_name(str(name)).kind == "manifest of a block"


@pytest.mark.parametrize("end", ["", ".tar", ".1.bagit.tar", ".01.bagit.tar", ".bagit.tar/x", "x.bagit.tar"])
def test_what_is_no_name_of_a_manifest(end: str) -> None:
    assert not is_manifest(f"{BLOCK}{end}")
    with pytest.raises(InvalidNameError):
        ManifestName.parse(f"{BLOCK}{end}")


def _archive(tmp_path: Path, files: int = 1) -> InMemoryCatalogue:
    archive = InMemoryCatalogue([Rse(name=ONSITE, prefix=str(tmp_path / "onsite"), site="CTAO-North")])
    archive.ensure_directories([registration("acada", 0).lfn, registration("acada", 1).lfn])
    archive.open_block(BLOCK.did)
    archive.register(BLOCK.did, ONSITE, [registration("acada", 0)][:files])
    return archive


def test_a_block_stays_open_as_long_as_its_manifest_cannot_be_written(tmp_path: Path) -> None:
    archive = _archive(tmp_path)
    with pytest.raises(StorageError, match="onsite is not there") as told:
        close_block(archive, BLOCK.did)
    assert told.value.transient
    assert archive.blocks("acada", BLOCK.did.name)[0].is_open
    (tmp_path / "onsite").mkdir()
    close_block(archive, BLOCK.did)
    assert not archive.blocks("acada", BLOCK.did.name)[0].is_open


def test_to_close_a_block_again_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "onsite").mkdir()
    archive = _archive(tmp_path)
    close_block(archive, BLOCK.did)
    before = archive.products_in(BLOCK.did)
    (path,) = (tmp_path / "onsite").rglob("*.*")
    stamp = path.stat().st_mtime_ns
    close_block(archive, BLOCK.did)
    assert archive.products_in(BLOCK.did) == before
    assert path.stat().st_mtime_ns == stamp
    assert path.name.endswith("0a1b2c3d.bagit.tar")


def test_what_came_after_the_manifest_makes_another_one(tmp_path: Path) -> None:
    """A request that was not answered was carried out after the manifest was registered, and before the closing."""
    (tmp_path / "onsite").mkdir()
    archive = _archive(tmp_path)
    close, archive.close_block = archive.close_block, lambda block: None  # type: ignore[method-assign]
    close_block(archive, BLOCK.did)
    archive.register(BLOCK.did, ONSITE, [registration("acada", 1)])
    archive.close_block = close  # type: ignore[method-assign]
    for _ in range(2):
        close_block(archive, BLOCK.did)
    paths = sorted(path for path in (tmp_path / "onsite").rglob("*.tar"))
    assert [path.name.partition(".")[2] for path in paths] == ["2.bagit.tar", "bagit.tar"]
    assert [len(BlockManifest.parse(path.read_bytes()).files) for path in paths] == [2, 1]
    assert len(archive.products_in(BLOCK.did)) == 4


@pytest.mark.parametrize("files", [0, 1])
def test_file_that_enters_between_the_last_look_and_the_closing_is_in_a_manifest(tmp_path: Path, files: int) -> None:
    """A request that timed out was carried out while the block was closed."""
    (tmp_path / "onsite").mkdir()
    archive = _archive(tmp_path, files)
    close, late = archive.close_block, [registration("acada", 1)]

    def closing(block: Did) -> None:
        while late:
            archive.register(block, ONSITE, [late.pop()])
        close(block)

    archive.close_block = closing  # type: ignore[method-assign]
    close_block(archive, BLOCK.did)
    assert not archive.blocks("acada", BLOCK.did.name)[0].is_open
    manifest = manifest_of(archive.products_in(BLOCK.did))
    assert manifest is not None
    content = Path(path_of_lfn(manifest.lfn, tmp_path / "onsite")).read_bytes()
    assert len(BlockManifest.parse(content).files) == files + 1
    close_block(archive, BLOCK.did)
    assert manifest_of(archive.products_in(BLOCK.did)) == manifest


def test_block_that_may_not_be_opened_again_stays_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "onsite").mkdir()
    archive = _archive(tmp_path)
    archive.close_block(BLOCK.did)

    def refuse(block: Did) -> None:
        raise ForbiddenError(f"{block} stays closed")

    archive.reopen_block = refuse  # type: ignore[method-assign]
    close_block(archive, BLOCK.did)
    assert "its manifest does not match its content" in caplog.text
    assert not archive.blocks("acada", BLOCK.did.name)[0].is_open


def test_two_that_close_a_block_at_once_do_not_write_over_each_other(tmp_path: Path) -> None:
    """One has seen less of the block than the other, and is the last to write: what is registered lies there."""
    (tmp_path / "onsite").mkdir()
    archive = _archive(tmp_path)
    register = archive.register
    firsts: list[Sequence[Registration]] = []

    def interleaved(block: Did, rse: str, files: Sequence[Registration]) -> None:
        if not firsts:  # the first has written its manifest: now a file enters, and the second closes the block
            firsts.append(files)
            register(block, rse, [registration("acada", 1)])
            close_block(archive, block)
        elif len(firsts) == 1:  # the second has written its own: the first registers before it
            firsts.append(files)
            register(block, rse, firsts[0])
            register(block, rse, files)

    archive.register = interleaved  # type: ignore[method-assign]
    close_block(archive, BLOCK.did)
    held = archive.products_in(BLOCK.did)
    manifests = [product for product in held if is_manifest(product.lfn.text)]
    assert [ManifestName.parse(each.lfn.text).number for each in manifests] == [2, 1]
    for product in manifests:
        size, digests = digest_file(Path(path_of_lfn(product.lfn, tmp_path / "onsite")))
        assert (size, digests["adler32"]) == (product.size_bytes, product.adler32), product.lfn
    assert list(compare_stored_manifest(BLOCK.did, held, tmp_path / "onsite")) == []


def test_a_manifest_that_somebody_else_may_register_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "onsite").mkdir()
    archive = _archive(tmp_path)
    there = Path(path_of_lfn(ManifestName(block=BLOCK, number=1).lfn, tmp_path / "onsite"))
    there.parent.mkdir(parents=True)
    there.write_bytes(b"the manifest of one who has seen less")
    close_block(archive, BLOCK.did)
    assert there.read_bytes() == b"the manifest of one who has seen less"
    held = archive.products_in(BLOCK.did)
    assert [ManifestName.parse(each.lfn.text).number for each in held if is_manifest(each.lfn.text)] == [2]
    assert list(compare_stored_manifest(BLOCK.did, held, tmp_path / "onsite")) == []


def test_an_empty_block_has_no_manifest(tmp_path: Path) -> None:
    archive = InMemoryCatalogue([Rse(name=ONSITE, prefix=str(tmp_path), site="CTAO-North")])
    archive.open_block(BLOCK.did)
    close_block(archive, BLOCK.did)
    assert (archive.products_in(BLOCK.did), list(tmp_path.iterdir())) == ([], [])
