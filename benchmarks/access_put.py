"""Putting many small products into the archive, beside Rucio's own upload client.

Run ``python benchmarks/access.py put``. Both run against the same embedded Rucio, one after the other, with the same
FITS files (about 1 MB each) and as processes of their own, from the files on the disk to replicas that are registered.

* put: `Bdms.put`, with everything that belongs to it: the files are checked, uploaded, read back from the storage,
  registered with metadata and directories, and the rules of their block are made. Requests are counted by the client.
* upload: `rucio.client.uploadclient.UploadClient.upload`, all files in one call, no metadata, no rule of a dataset; as
  root, for the client changes the state of replicas, which no job may.

Aim: at most 10 requests for registration and rules of a block of 400 files. Two more ask what the archive has, before
the upload and after it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from ctao_bdms.embedded import ROOT, WMS, start

if TYPE_CHECKING:
    from collections.abc import Sequence


_NAME = "dl3_evt_sub_Observation_ob2000000001_chunk{:03d}.fits"
_PUT = """
import json, sys, time
from ctao_bdms import connect
from ctao_bdms.model import NewProduct
bdms = connect()
bdms.catalogue.rses()
asked = []
bdms.catalogue.count_requests(asked.append)
begin = time.monotonic()
said = NewProduct.of(release="DataPipe/Observation/DR1", night="2026-11-21")
report = bdms.put(sys.argv[1], product=said, storage="archive", near="PIC")
print(json.dumps([time.monotonic() - begin, len(report.archived), len(asked)]))
"""
_UPLOAD = """
import json, logging, sys, time
from pathlib import Path
from rucio.client import Client
from rucio.client.uploadclient import UploadClient
logging.disable()
client = Client()
asked = []
client.session.hooks["response"].append(lambda response, *_args, **_kwargs: asked.append(1))
upload = UploadClient(client, logger=logging.getLogger("upload"))
begin = time.monotonic()
items = [
    {"path": str(path), "rse": "PIC-DISK", "did_scope": "dpps", "did_name": f"/ctao/dpps/up/{path.name}"}
    for path in sorted(Path(sys.argv[1]).iterdir())
]
upload.upload(items)
print(json.dumps([time.monotonic() - begin, len(items), len(asked)]))
"""


def _measured(program: str, config: Path, folder: Path) -> tuple[float, int, int]:
    """Run one way; return seconds, files and requests."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=os.environ | {"RUCIO_CONFIG": str(config)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, files, requests = json.loads(done.stdout.splitlines()[-1])
    return seconds, files, requests


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=400, help="how many files")
    parser.add_argument("--megabytes", type=float, default=1.0, help="how large each is")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home, start(Path(home) / "rucio") as rucio:
        folder = Path(home) / "products"
        folder.mkdir()
        random = np.random.default_rng(0)
        for number in range(chosen.files):
            content = random.integers(0, 255, int(chosen.megabytes * 1e6), dtype="u1")
            fits.PrimaryHDU(content).writeto(folder / _NAME.format(number), checksum=True)
        print(f"{chosen.files} files of {chosen.megabytes} MB")
        print(f"{'way':<10}{'files':>7}{'seconds':>9}{'files/s':>9}{'requests':>10}")
        for way, program, account in (("put", _PUT, WMS), ("upload", _UPLOAD, ROOT)):
            seconds, files, requests = _measured(program, rucio.client_config(account), folder)
            print(f"{way:<10}{files:>7}{seconds:>9.1f}{files / seconds:>9.1f}{requests:>10}")


if __name__ == "__main__":
    main()
