"""Datasets in a real Rucio with the metadata plugin, used by Rucio's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.catalogue.rucio import RucioCatalogue
from tests.embedded.metadata_plugin.night import NIGHT, Archive, new_archive, wire

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance


@pytest.fixture(scope="module")
def client(embedded_rucio_instance: Instance) -> Any:  # noqa: ANN401 (Rucio has no types)
    """Rucio's client as the ingest account.

    Rucio reads its configuration once in a process, and this process may have read that of another Rucio.
    """
    return RucioCatalogue.connect(embedded_rucio_instance.client_config()).client


@pytest.fixture(scope="module")
def night(client: Any, embedded_rucio_instance: Instance) -> Archive:  # noqa: ANN401
    """A night that no test changes."""
    archive = new_archive(client, embedded_rucio_instance)
    archive.attach({archive.file(i): wire(i) for i in range(len(NIGHT))})
    return archive


@pytest.fixture
def archive(client: Any, embedded_rucio_instance: Instance) -> Archive:  # noqa: ANN401
    """An empty dataset."""
    return new_archive(client, embedded_rucio_instance)
