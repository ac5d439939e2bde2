"""The pytest plugin: a real Rucio for tests, for this project and others.

Tests use the fixture `embedded_rucio`. Its Rucio is started once per session. Each test gets its own scope, so that
tests are independent.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctao_bdms.archive import Bdms
    from ctao_bdms.catalogue.rucio import RucioCatalogue
    from ctao_bdms.embedded import Instance

__all__ = [
    "RucioNamespace",
    "embedded_rucio",
    "embedded_rucio_instance",
    "embedded_rucio_xrootd",
    "embedded_rucio_xrootd_instance",
    "new_namespace",
]


@attrs.frozen
class RucioNamespace:
    """The scope of one test in a running Rucio.

    Attributes
    ----------
    instance
        The running Rucio.
    scope
        The test's scope; its names begin with ``/ctao/<scope>/``.
    catalogue
        The catalogue, connected as the ingest account.
    """

    instance: Instance
    scope: str
    catalogue: RucioCatalogue

    @property
    def bdms(self) -> Bdms:
        """The archive, for the ingest account."""
        from ctao_bdms.archive import Bdms
        from ctao_bdms.replication import Policy

        return Bdms(self.catalogue, policy=Policy.load())

    @property
    def root(self) -> Path:
        """The on-site storage root: files below ``<root>/ctao/<scope>`` can be ingested."""
        return self.instance.storage("CTAO-NORTH-ONSITE")


@pytest.fixture(scope="session")
def embedded_rucio_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Run a real Rucio for the session: server, daemons, database, transfers, three storage elements."""
    from ctao_bdms.embedded import start

    with start(tmp_path_factory.mktemp("rucio") / "home") as instance:
        yield instance


@pytest.fixture
def embedded_rucio(embedded_rucio_instance: Instance) -> Iterator[RucioNamespace]:
    """Yield a new scope in a real Rucio for the test, as a `RucioNamespace`; nothing is copied after the test."""
    with new_namespace(embedded_rucio_instance) as namespace:
        yield namespace


@pytest.fixture(scope="session")
def embedded_rucio_xrootd_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Run a real Rucio with storage elements on Debian's XRootD servers."""
    from ctao_bdms.embedded import start

    with start(tmp_path_factory.mktemp("rucio") / "xrootd", storage="xrootd") as instance:
        yield instance


@pytest.fixture
def embedded_rucio_xrootd(embedded_rucio_xrootd_instance: Instance) -> Iterator[RucioNamespace]:
    """Yield a new scope in a real Rucio on XRootD storage for the test, as `embedded_rucio` does."""
    with new_namespace(embedded_rucio_xrootd_instance) as namespace:
        yield namespace


@contextmanager
def new_namespace(instance: Instance) -> Iterator[RucioNamespace]:
    """Create a scope with a random name; retire it at the end."""
    from ctao_bdms.catalogue.rucio import RucioCatalogue
    from ctao_bdms.embedded.namespace import add_scope, retire_scopes

    scope = f"t{secrets.token_hex(4)}"
    add_scope(instance.home.path, scope)
    try:
        yield RucioNamespace(instance, scope, RucioCatalogue.connect(instance.client_config()))
    finally:
        retire_scopes(instance.home.path, [scope])
