"""Options that several commands share, and the connection to the archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from ctao_bdms.archive import connect
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.archive import Bdms

__all__ = [
    "DEFAULT_ARCHIVE",
    "Archive",
    "Home",
    "Json",
    "PolicyOption",
    "Timeout",
    "between",
    "home_path",
    "policy_file",
]


def between(low: float, high: float) -> Callable[[object, float | None], None]:
    """Return a validator for numbers from `low` to `high`, both included; rejects "nan".

    Parameters
    ----------
    low, high
        The bounds, both included.
    """

    def check(_type: object, value: float | None) -> None:
        if value is not None and not low <= value <= high:
            msg = f"give a number from {low:,} to {high:,}"
            raise ValueError(msg)

    return check


Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Home = Annotated[
    Path | None,
    Parameter(name="--home", help="The folder of the embedded Rucio; else BDMS_HOME, else in the user's data folder."),
]

Timeout = Annotated[
    float, Parameter(name="--timeout", validator=between(0, 1_000_000_000), help="Seconds to stay at most.")
]

PolicyOption = Annotated[
    Path | None,
    Parameter(name="--policy", help="A policy file; else BDMS_POLICY, else the observatory's own policy."),
]


def policy_file(named: Path | None) -> Path | None:
    """Return the policy file of a command; None for the built-in one."""
    if named is None and os.environ.get("BDMS_POLICY"):
        return Path(os.environ["BDMS_POLICY"])
    return named


def home_path(home: Path | None) -> Path:
    """Return the folder of the embedded Rucio of a command."""
    from ctao_bdms.embedded import Home as EmbeddedHome

    named = home or os.environ.get("BDMS_HOME")
    return Path(named).absolute() if named else EmbeddedHome.default().path


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Archive:
    """The archive of a command.

    Attributes
    ----------
    home
        The folder of an embedded Rucio.
    rucio_config
        The rucio.cfg of a client.
    policy
        A policy file.
    as_json
        Print JSON instead of a table.
    """

    home: Home = None
    rucio_config: Annotated[
        Path | None,
        Parameter(name="--rucio-config", help="The rucio.cfg of a client of the archive; else RUCIO_CONFIG."),
    ] = None
    policy: PolicyOption = None
    as_json: Json = False

    @property
    def output(self) -> Output:
        """The output of the command."""
        return Output(as_json=self.as_json)

    def connect(self, quarantine: Path | None = None) -> Bdms:
        """Connect to the archive given by an option, else by the environment, else to this user's embedded Rucio.

        Parameters
        ----------
        quarantine
            The folder of the quarantine; by default next to the storage root.

        Raises
        ------
        UsageError
            If no archive is found.
        """
        return connect(self.config_file(), policy=policy_file(self.policy), quarantine=quarantine)

    def config_file(self) -> Path:
        """Return the rucio.cfg given by the options or the environment.

        Raises
        ------
        UsageError
            If it does not exist.
        """
        from ctao_bdms.embedded import Home as EmbeddedHome

        config = self.rucio_config
        if config is None and self.home is None and "BDMS_HOME" not in os.environ:
            named = os.environ.get("RUCIO_CONFIG")
            config = Path(named) if named else None
        if config is None or self.home is not None:
            config = EmbeddedHome(home_path(self.home)).client_config()
        config = config.absolute()
        if not config.is_file():
            raise UsageError(
                f"no archive at {config}; start one with bdms up --detach, or give one with --rucio-config FILE"
            )
        return config


#: The archive of a command without options.
DEFAULT_ARCHIVE = Archive()
