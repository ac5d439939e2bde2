"""What several commands share: their common options, and the way to the archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from ctao_bdms.cli.output import Output
from ctao_bdms.errors import UsageError
from ctao_bdms.facade import connect

if TYPE_CHECKING:
    from ctao_bdms.facade import Bdms

__all__ = ["DEFAULT_ARCHIVE", "Archive", "Home", "Json", "home_path"]

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Home = Annotated[
    Path | None,
    Parameter(
        name="--home",
        env_var="BDMS_HOME",
        help="The folder of the embedded Rucio; by default the user's data folder.",
    ),
]


def home_path(home: Path | None) -> Path:
    """Return the folder of the embedded Rucio that a command means."""
    from ctao_bdms.embedded import Home as EmbeddedHome

    return home.absolute() if home is not None else EmbeddedHome.default().path


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Archive:
    """Which archive a command speaks to.

    Attributes
    ----------
    home
        The folder of an embedded Rucio.
    rucio_config
        A rucio.cfg of a client.
    as_json
        Print JSON instead of a table.
    """

    home: Home = None
    rucio_config: Annotated[
        Path | None,
        Parameter(name="--rucio-config", env_var="RUCIO_CONFIG", help="The rucio.cfg of a client of the archive."),
    ] = None
    as_json: Json = False

    @property
    def output(self) -> Output:
        """Where the command prints."""
        return Output(as_json=self.as_json)

    def connect(self) -> Bdms:
        """Connect: as ``--home`` says, else as ``--rucio-config`` says, else to the embedded Rucio of this user.

        Raises
        ------
        UsageError
            If nothing says where the archive is.
        """
        from ctao_bdms.embedded import Home as EmbeddedHome

        if self.home is not None:
            config = EmbeddedHome(self.home.absolute()).client_config()
        elif self.rucio_config is not None:
            config = self.rucio_config
        else:
            config = EmbeddedHome.default().client_config()
        if not config.is_file():
            raise UsageError(
                f"no archive at {config}; start one with 'bdms up --detach' or name one with --rucio-config"
            )
        return connect(os.path.abspath(config))  # noqa: PTH100 - links in the path are the user's


#: The archive that a command speaks to if nothing is said.
DEFAULT_ARCHIVE = Archive()
