"""The manifest of a block: names, sizes, digests and metadata of its files (pure).

It is a bag by RFC 8493 without payload: ``manifest-sha256.txt`` has the digest of every file, ``fetch.txt`` its name
and size, ``metadata.jsonl`` its metadata and Adler-32. The catalogue can be rebuilt from the manifests alone.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.blocks.bag import lines_of, pack, unpack
from ctao_bdms.errors import InvalidMetadataError, InvalidNameError, ManifestError
from ctao_bdms.model import Did, Lfn, Product, ProductMetadata, Registration
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["BlockManifest"]

_SHA256 = "integrity__sha256"
_METADATA, _FETCH, _INFO = "metadata.jsonl", "fetch.txt", "bag-info.txt"
_VERSION = "1"
_FETCH_LINE = re.compile(r"(rucio://\S+) (\d+) data(/\S+)", re.ASCII)


def _by_name(files: Iterable[Product]) -> tuple[Product, ...]:
    return tuple(sorted(files, key=lambda file: file.lfn))


@attrs.frozen
class BlockManifest:
    """The content of a block.

    Attributes
    ----------
    files
        Its files with their metadata, sorted by name.

    Examples
    --------
    >>> block = BlockName.parse("/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T200000-0a1b2c3d")
    >>> manifest = BlockManifest(block.did, [Product(lfn=Lfn("/ctao/acada/x"), size_bytes=0, adler32="00000001",
    ...                                              metadata=ProductMetadata({"data__level": "DL0"}))])
    >>> BlockManifest.parse(manifest.to_bytes()) == manifest
    True
    """

    block: Did
    files: tuple[Product, ...] = attrs.field(converter=_by_name)

    @property
    def size_bytes(self) -> int:
        """Total size of the files."""
        return sum(file.size_bytes for file in self.files)

    def to_bytes(self) -> bytes:
        """Return the content of the manifest file: the same bytes for the same block."""
        name = BlockName.parse(self.block.name)
        digests = {file.lfn: str(file.metadata.get(_SHA256, "")) for file in self.files}
        # A manifest of RFC 8493 must list all files, and the SHA-256 of a file put by another system may be unknown.
        algorithm = "sha256" if all(digests.values()) else "adler32"
        if algorithm == "adler32":
            digests = {file.lfn: file.adler32 for file in self.files}
        tags = {
            _INFO: "".join(f"{key}: {value}\n" for key, value in self._info(name)),
            _FETCH: "".join(f"{_url(file.lfn, self.block)} {file.size_bytes} data{file.lfn}\n" for file in self.files),
            f"manifest-{algorithm}.txt": "".join(f"{digest}  data{lfn}\n" for lfn, digest in digests.items()),
            _METADATA: "".join(f"{_line(file)}\n" for file in self.files),
        }
        return pack(self.block.name.rpartition("/")[2], tags, name.opened)

    def registration(self, lfn: Lfn) -> Registration:
        """Return the registration of the manifest, without metadata: it is no product."""
        content = self.to_bytes()
        adler32 = f"{zlib.adler32(content):08x}"
        return Registration(lfn=lfn, size_bytes=len(content), adler32=adler32, metadata=ProductMetadata({}))

    @classmethod
    def parse(cls, content: bytes) -> BlockManifest:
        """Parse the content of a manifest file, and verify that its tag files agree.

        Raises
        ------
        ManifestError
            If it is no manifest or is damaged; it lists all problems.
        """
        base, files = unpack(content)
        problems: list[str] = []
        listed = list(_products(files, problems))
        info = dict(line.split(": ", 1) for line in files.get(_INFO, "").splitlines() if ": " in line)
        block = _block(info.get("External-Identifier", ""), base, problems)
        sizes = {file.lfn.text: file.size_bytes for file in listed}
        problems += _fetched(files.get(_FETCH, ""), sizes)
        problems += _digested(files, {file.lfn.text: file for file in listed})
        made = cls(block, listed)
        if info.get("Payload-Oxum") != made._oxum:
            problems.append(f"{_INFO} says {info.get('Payload-Oxum')} of the payload, and it is {made._oxum}")
        if problems:
            raise ManifestError(problems)
        return made

    @property
    def _oxum(self) -> str:
        """Payload-Oxum of BagIt: bytes and number of files."""
        return f"{self.size_bytes}.{len(self.files)}"

    def _info(self, name: BlockName) -> Iterator[tuple[str, str]]:
        yield "Source-Organization", "Cherenkov Telescope Array Observatory"
        yield "External-Description", f"Block of the night {name.night} at {name.site}; files by reference in fetch.txt"
        yield "External-Identifier", str(self.block)
        yield "Bagging-Date", name.opened.date().isoformat()
        yield "Payload-Oxum", self._oxum
        yield "BDMS-Manifest-Version", _VERSION


def _url(lfn: Lfn, block: Did) -> str:
    """Return the URL of a file in ``fetch.txt``, with the scope as the host."""
    return f"rucio://{block.scope}{lfn}"


def _block(identifier: str, base: str, problems: list[str]) -> Did:
    scope, _, name = identifier.partition(":")
    try:
        did = BlockName.parse(name).did
    except InvalidNameError as error:
        problems.append(str(error))
        return Did(scope, name)
    if did.scope != scope or name.rpartition("/")[2] != base:
        problems.append(f"it is about {identifier}, and its base directory is {base}")
    return did


def _line(file: Product) -> str:
    row = {
        "lfn": file.lfn.text,
        "size_bytes": file.size_bytes,
        "adler32": file.adler32,
        "metadata": file.metadata.to_wire(),
    }
    return json.dumps(row, sort_keys=True, ensure_ascii=True)


def _products(files: Mapping[str, str], problems: list[str]) -> Iterator[Product]:
    """Yield the products in the metadata file."""
    if _METADATA not in files:
        problems.append(f"{_METADATA} is absent")
    seen = set()
    for number, line in enumerate(files.get(_METADATA, "").splitlines(), start=1):
        try:
            row = json.loads(line)
            metadata = ProductMetadata(row["metadata"])
            size_bytes, adler32 = int(row["size_bytes"]), str(row["adler32"])
            product = Product(lfn=Lfn(row["lfn"]), size_bytes=size_bytes, adler32=adler32, metadata=metadata)
        except (KeyError, TypeError, ValueError, InvalidMetadataError) as error:
            problems.append(f"line {number} of {_METADATA} cannot be read: {error}")
            continue
        if product.lfn in seen:
            problems.append(f"{_METADATA} names {product.lfn} twice")
        seen.add(product.lfn)
        yield product


def _fetched(text: str, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield the differences between ``fetch.txt`` and the metadata file."""
    fetched: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _FETCH_LINE.fullmatch(line)
        if match is None:
            yield f"line {number} of {_FETCH} is no reference"
        else:
            fetched[match[3]] = int(match[2])
    for name in sorted(fetched.keys() | sizes.keys()):
        if fetched.get(name) != sizes.get(name):
            yield f"{name}: {_FETCH} says {fetched.get(name)} bytes, {_METADATA} {sizes.get(name)}"


def _digested(files: Mapping[str, str], listed: Mapping[str, Product]) -> Iterator[str]:
    """Yield the differences between the digests and the metadata file."""
    key = "sha256" if "manifest-sha256.txt" in files else "adler32"
    problems: list[str] = []
    said = {path.removeprefix("data"): digest for path, digest in lines_of(files, f"manifest-{key}.txt", problems)}
    yield from problems
    for name in sorted(said.keys() | listed.keys()):
        file = listed.get(name)
        known = None if file is None else file.metadata.get(_SHA256) if key == "sha256" else file.adler32
        if said.get(name) != known:
            yield f"{name}: manifest-{key}.txt says {said.get(name)}, {_METADATA} {known}"
