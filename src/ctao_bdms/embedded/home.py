"""The layout of the home folder of an embedded Rucio."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.embedded.topology import ACCOUNTS, INGEST, RSES
from ctao_bdms.errors import EmbeddedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Home"]


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Return `path` absolute and normalised, without resolving links."""
    with _homeless():
        return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (resolve() would follow links)


@contextmanager
def _homeless() -> Iterator[None]:
    """Turn a missing home folder of the user into an error that says what to do."""
    try:
        yield
    except RuntimeError as error:
        raise UsageError("this user has no home folder; choose a folder with --home or BDMS_HOME") from error


@attrs.frozen
class Home:
    """A folder that holds one embedded Rucio: database, storage, configuration, logs.

    Attributes
    ----------
    path
        The folder; made absolute.

    Examples
    --------
    >>> Home("/data/rucio").storage("PIC-DISK")
    PosixPath('/data/rucio/storage/PIC-DISK')
    """

    path: Path = attrs.field(converter=_absolute)

    @classmethod
    def default(cls) -> Home:
        """Return the default home in the user's data folder."""
        import platformdirs

        with _homeless():
            return cls(platformdirs.user_data_path("ctao-bdms", appauthor=False) / "rucio")

    @property
    def state_file(self) -> Path:
        """The file with the settings of later starts: ports, passwords, database."""
        return self.path / "state.json"

    @property
    def run_file(self) -> Path:
        """The list of running processes; absent when nothing runs."""
        return self.path / "run.json"

    @property
    def lock_file(self) -> Path:
        """The lock file of the supervisor; it contains the supervisor's process id."""
        return self.path / "lock"

    @property
    def etc(self) -> Path:
        """The folder of the configuration files."""
        return self.path / "etc"

    @property
    def server_config(self) -> Path:
        """The configuration of server and daemons."""
        return self.etc / "rucio-server.cfg"

    @property
    def alembic_config(self) -> Path:
        """The configuration of Alembic, which manages the database schema."""
        return self.etc / "alembic.ini"

    @property
    def tokens(self) -> Path:
        """The folder of clients' tokens."""
        return self.etc / "tokens"

    @property
    def postgres(self) -> Path:
        """The data folder of the home's own database."""
        return self.path / "postgres"

    @property
    def socket(self) -> Path:
        """The folder of the database's socket, unless its path is too long."""
        return self.path / "socket"

    @property
    def log(self) -> Path:
        """The folder of the logs."""
        return self.path / "log"

    @property
    def transfers_database(self) -> Path:
        """The database of the transfer service."""
        return self.path / "transfers.sqlite"

    def storage(self, rse: str) -> Path:
        """Return the folder of the files of `rse`."""
        return self.path / "storage" / rse

    @property
    def xrootd(self) -> Path:
        """The folder of the other files of XRootD servers: configuration, certificate, sockets."""
        return self.path / "xrootd"

    def client_config(self, account: str = INGEST) -> Path:
        """Return the ``rucio.cfg`` of the client of `account`.

        Raises
        ------
        UsageError
            If the embedded Rucio has no such account.
        """
        if account not in ACCOUNTS:
            msg = f"the embedded Rucio has no account {account!r}; it has {', '.join(sorted(ACCOUNTS))}"
            raise UsageError(msg)
        return self.etc / ("rucio.cfg" if account == INGEST else f"rucio-{account}.cfg")

    def prepare(self) -> None:
        """Create the missing folders, accessible to the owner only.

        Raises
        ------
        EmbeddedError
            If the folder has other content, or cannot be created.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            ours = self.lock_file.exists() or self.state_file.exists()
            if not ours and any(self.path.iterdir()):
                msg = f"{self.path} is not empty and contains no embedded Rucio; choose another --home"
                raise EmbeddedError(msg)
            self.lock_file.touch(mode=0o600)
            self.path.chmod(0o700)
            for folder in (self.etc, self.tokens, self.log):
                folder.mkdir(mode=0o700, exist_ok=True)
            for rse in RSES:
                self.storage(rse).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the home folder {self.path} cannot be used: {error.strerror}; choose another --home"
            raise EmbeddedError(msg) from error
