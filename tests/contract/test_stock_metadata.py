"""A Rucio without our metadata plugin keeps the contract, too: slower, and with the same answers."""

from __future__ import annotations

import configparser
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import ROOT
from ctao_bdms.testing.contract import CatalogueContract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctao_bdms.embedded import Instance

_SERVE = (
    "import socket, sys; from ctao_bdms.embedded.rucio.rest import serve; serve(socket.socket(fileno=int(sys.argv[1])))"
)


def _changed(source: Path, target: Path, changes: dict[str, dict[str, str]]) -> Path:
    """Write the configuration `source` with `changes` to `target`."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(source)
    for section, options in changes.items():
        parser[section].update(options)
    with target.open("w") as file:
        parser.write(file)
    return target


@pytest.fixture(scope="module")
def stock(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a second server on the same database, with Rucio's own metadata plugin; give its client's configuration."""
    folder = tmp_path_factory.mktemp("stock")
    plugin = {"metadata": {"plugins": "rucio.core.did_meta_plugins.json_meta.JSONDidMeta"}}
    server = _changed(embedded_rucio_instance.home.server_config, folder / "server.cfg", plugin)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-c", _SERVE, str(listener.fileno())]
        environment = os.environ | {"RUCIO_CONFIG": str(server)}
        process = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()])
    hosts = {"rucio_host": url, "auth_host": url, "auth_token_file_path": str(folder / "token")}
    try:
        yield _changed(embedded_rucio_instance.client_config(), folder / "rucio.cfg", {"client": hosts})
    finally:
        process.terminate()
        process.wait(30)


class TestRucioWithStockMetadata(CatalogueContract):
    @pytest.fixture
    def catalogue(self, stock: Path) -> RucioCatalogue:
        return RucioCatalogue.connect(stock)

    @pytest.fixture
    def elsewhere(self, embedded_rucio_instance: Instance) -> RucioCatalogue:
        return RucioCatalogue.connect(embedded_rucio_instance.client_config(ROOT))
