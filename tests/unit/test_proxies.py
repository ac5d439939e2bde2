"""Loopback never goes through a proxy; an error names the proxy that was used."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests.utils

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.daemon.face.remote import fetch_status
from ctao_bdms.errors import UnreachableError
from ctao_bdms.proxies import proxy_of, spare_loopback

if TYPE_CHECKING:
    from pathlib import Path

PROXY = "http://me:secret@127.0.0.1:9"
LOOPBACK = ["http://127.0.0.1:8080/ping", "http://localhost/ping", "https://localhost:8443/ping", "http://[::1]:80/x"]
RUCIO = """\
[client]
rucio_host = {url}
auth_host = {url}
auth_type = userpass
username = someone
password = secret
account = someone
request_retries = 1
"""


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("no_proxy", "NO_PROXY"):  # what is set here is taken back after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("spared", [{}, {"no_proxy": "example.org"}, {"NO_PROXY": "example.org, .example.com"}])
def test_loopback_is_spared(monkeypatch: pytest.MonkeyPatch, variable: str, spared: dict[str, str]) -> None:
    monkeypatch.setenv(variable, PROXY)
    for name, value in spared.items():
        monkeypatch.setenv(name, value)
    spare_loopback()
    for url in LOOPBACK:
        assert proxy_of(url) == ""
        assert not requests.utils.get_environ_proxies(url), url
    assert all("example.org" in os.environ[name].split(",") for name in ("no_proxy", "NO_PROXY")) == bool(spared)


@pytest.mark.parametrize("spared", ["", "*"])
def test_environment_is_left_as_it_is_if_loopback_is_spared_already(
    monkeypatch: pytest.MonkeyPatch, spared: str
) -> None:
    if spared:
        monkeypatch.setenv("http_proxy", PROXY)
        monkeypatch.setenv("no_proxy", spared)
    before = dict(os.environ)
    spare_loopback()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "command", [["query", "level=DL0"], ["status", "--ingestd", "http://archive.example.org:9465"]]
)
def test_errors_name_the_proxy_and_no_secret(tmp_path: Path, command: list[str]) -> None:
    config = tmp_path / "rucio.cfg"
    config.write_text(RUCIO.format(url="http://archive.example.org"))
    done = subprocess.run(
        [sys.executable, "-c", "from ctao_bdms.cli import main; main()", *command],
        env=os.environ | {"RUCIO_CONFIG": str(config), "http_proxy": PROXY, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "through the proxy http://127.0.0.1:9" in done.stderr
    assert "archive.example.org" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_library_names_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("http_proxy", PROXY)
    config = tmp_path / "rucio.cfg"
    config.write_text(RUCIO.format(url="http://archive.example.org"))
    with pytest.raises(UnreachableError, match=r"http://archive\.example\.org as someone through the proxy http://127"):
        RucioCatalogue.connect(config)
    with pytest.raises(UnreachableError, match=r"through the proxy http://127\.0\.0\.1:9:"):
        fetch_status("http://archive.example.org:9465")
