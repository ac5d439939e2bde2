"""One XRootD server by WebDAV: files are stored, fetched, moved, and nothing else is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctao_bdms.embedded.xrootd.webdav import StorageError, WebDav
from tests.debian import demand
from tests.embedded.storage_servers import Proxy, Server, is_there
from tests.embedded.thirdparty.orders import DATA

demand("xrootd-server", there=is_there())


def test_file_is_stored_moved_fetched_and_deleted(site: Server, tmp_path: Path) -> None:
    path, url, pieces = tmp_path / "file", f"{site.base}/stored/a+b", list[bytes]()
    path.write_bytes(DATA)
    storage = WebDav()
    with path.open("rb") as stream:
        storage.store(url, stream, len(DATA))
    storage.move(url, f"{url}.2")
    assert not storage.exists(url)
    assert storage.fetch(f"{url}.2", pieces.append) == storage.size(f"{url}.2") == len(DATA)
    assert b"".join(pieces) == DATA
    storage.delete(f"{url}.2")
    with pytest.raises(StorageError, match="HTTP 404"):
        storage.delete(f"{url}.2")


def test_truncated_download_fails(site: Server, proxy: Proxy) -> None:
    (site.folder / "short").write_bytes(DATA)
    proxy.cut_after = 1_000_000
    with pytest.raises(StorageError, match=r"of 3000000 bytes were received|closed"):
        WebDav().fetch(f"http://127.0.0.1:{proxy.port}/SITE/short", lambda _: None)


def test_servers_listen_on_loopback_only(site: Server) -> None:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A"}
    for port in site.ports:
        assert f"0100007F:{port:04X}" in listening
        assert f"00000000:{port:04X}" not in listening
    six = Path("/proc/net/tcp6").read_text() if Path("/proc/net/tcp6").exists() else ""
    assert not any(f":{port:04X} " in six for port in site.ports)


def test_files_outside_the_storage_are_not_served(site: Server) -> None:
    """The quarantine of a storage element and the work folders of servers lie beside it."""
    beside = site.folder.with_name("SITE.quarantine")
    beside.mkdir()
    (beside / "file").write_bytes(DATA)
    base = site.base.removesuffix("/SITE")
    for path in ("SITE.quarantine/file", "SITE/../SITE.quarantine/file", "SITE.work/key.pem", "etc/passwd"):
        with pytest.raises(StorageError, match=r"HTTP [45]"):
            WebDav().size(f"{base}/{path}")
