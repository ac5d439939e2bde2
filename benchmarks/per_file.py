"""Files into Rucio one by one, with the calls that a plain ingestion client makes for each of them.

Used by ``ingest.py``; alone: ``python benchmarks/per_file.py rucio.cfg ROOT RSE < paths``. It prints one JSON object.

For each file: the storage elements, the account, the scope, the replicas, two passes over the bytes (every HDU's
checksum by astropy, then adler32), a container for each level and its place in the level above, the dataset and its
place, the replica, the metadata, the file's place in the dataset, the rules of the dataset; the first file of a dataset
gets it two rules. Nothing is remembered and nothing is sent together; most answers are "it exists already". The
connection is kept from file to file, which such clients do not always do: that is in favour of this way.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.io import fits
from rucio.common.exception import DataIdentifierAlreadyExists, Duplicate, DuplicateContent, FileAlreadyExists

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.model import ProductMetadata

if TYPE_CHECKING:
    from rucio.client import Client

_EXISTS = (DataIdentifierAlreadyExists, Duplicate, DuplicateContent, FileAlreadyExists)
_CENTRES = ("centre=PIC", "centre=CSCS")
_PIECE = 1 << 16


def verified(path: Path) -> ProductMetadata:
    """Verify every HDU of a file; return what the headers say."""
    with fits.open(path, disable_image_compression=True) as hdus:
        for hdu in hdus:
            if hdu.verify_checksum() == 0:
                raise ValueError(path)
        return ProductMetadata.from_keywords(dict(hdus[1].header))[0]


def adler32(path: Path) -> str:
    """Return the adler32 of a file."""
    value = 1
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            value = zlib.adler32(piece, value)
    return f"{value:08x}"


def hierarchy(client: Client, scope: str, name: str) -> str:
    """Make the containers and the dataset above a file; return the dataset."""
    levels = name.split("/")[:-1]
    paths = ["/".join(levels[:end]) for end in range(4, len(levels) + 1)]
    for path in paths[:-1]:
        with suppress(*_EXISTS):
            client.add_container(scope, path)
    for parent, path in itertools.pairwise(paths[:-1]):
        with suppress(*_EXISTS):
            client.attach_dids(scope, parent, [{"scope": scope, "name": path}])
    with suppress(*_EXISTS):
        client.add_dataset(scope, paths[-1])
    with suppress(*_EXISTS):
        client.attach_dids(scope, paths[-2], [{"scope": scope, "name": paths[-1]}])
    return paths[-1]


def ingest(client: Client, path: Path, root: Path, rse: str) -> None:
    """Bring one file into the archive."""
    if rse not in {row["rse"] for row in client.list_rses()}:
        raise ValueError(rse)
    account = client.whoami()["account"]
    name = f"/{path.relative_to(root)}"
    scope = name.split("/")[2]
    with suppress(*_EXISTS):
        client.add_scope(account, scope)
    did = {"scope": scope, "name": name}
    if list(client.list_replicas([did], rse_expression=rse)):
        return
    metadata = verified(path)
    dataset = hierarchy(client, scope, name)
    client.add_replica(rse, scope, name, path.stat().st_size, adler32(path))
    client.set_metadata_bulk(scope, name, metadata.to_wire())
    with suppress(*_EXISTS):
        client.attach_dids(scope, dataset, [did])
    if not list(client.list_did_rules(scope, dataset)):
        first, second = _CENTRES
        client.add_replication_rule([{"scope": scope, "name": dataset}], 1, first)
        client.add_replication_rule([{"scope": scope, "name": dataset}], 1, second, source_replica_expression=first)
    path.with_name(path.name + ".trigger").unlink()


def main() -> None:
    config, root, rse = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    catalogue = RucioCatalogue.connect(config)
    counted = [0]
    catalogue.count_requests(lambda _: counted.__setitem__(0, counted[0] + 1))
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    paths = [Path(line.rstrip("\n")) for line in sys.stdin]
    for path in paths:
        ingest(catalogue.client, path, root, rse)
    result = {
        "files": len(paths),
        "requests": counted[0],
        "seconds": time.monotonic() - begin_s,
        "cpu_s": time.process_time() - begin_cpu_s,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
