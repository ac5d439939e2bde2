"""A transfer service and a file that it can copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.embedded.transfers.service import DATA, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"))
    yield service
    assert service.end() == 0
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "onsite" / "file"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(*options: str) -> Service:
        made.append(Service(tmp_path, *options))
        return made[-1]

    yield make
    for service in made:
        service.end()
        assert "Traceback" not in service.log.read_text()
