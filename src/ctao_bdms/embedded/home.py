"""The home folder of an embedded Rucio: where each thing lies."""

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
    """Return `path` absolute and without dots; links are kept as they are."""
    with _homeless():
        return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (resolve() would follow links)


@contextmanager
def _homeless() -> Iterator[None]:
    """Say what to do where neither HOME nor the password database knows the home of a user."""
    try:
        yield
    except RuntimeError as error:
        raise UsageError("the home of the user is not known; name a folder: --home, or BDMS_HOME") from error


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
        """Return the home in the platform's folder for user data."""
        import platformdirs

        with _homeless():
            return cls(platformdirs.user_data_path("ctao-bdms", appauthor=False) / "rucio")

    @property
    def state_file(self) -> Path:
        """What must be the same at the next start: ports, passwords, database."""
        return self.path / "state.json"

    @property
    def run_file(self) -> Path:
        """The processes that run now; absent when nothing runs."""
        return self.path / "run.json"

    @property
    def lock_file(self) -> Path:
        """The file that the supervisor locks; it holds the supervisor's process number."""
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
        """The configuration of the schema's version control."""
        return self.etc / "alembic.ini"

    @property
    def tokens(self) -> Path:
        """The folder in which clients keep their tokens."""
        return self.etc / "tokens"

    @property
    def postgres(self) -> Path:
        """The data folder of the database, if it is our own."""
        return self.path / "postgres"

    @property
    def socket(self) -> Path:
        """The folder of the database's socket, if its path is short enough."""
        return self.path / "socket"

    @property
    def log(self) -> Path:
        """The folder of the logs."""
        return self.path / "log"

    @property
    def transfers_database(self) -> Path:
        """The jobs of the transfer service."""
        return self.path / "transfers.sqlite"

    def storage(self, rse: str) -> Path:
        """Return the folder that `rse` stores its files in."""
        return self.path / "storage" / rse

    @property
    def xrootd(self) -> Path:
        """The folder of what XRootD servers need beside their files: configuration, certificate, sockets."""
        return self.path / "xrootd"

    def client_config(self, account: str = INGEST) -> Path:
        """Return the ``rucio.cfg`` of a client that works as `account`.

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
        """Make the folders that do not exist; only the owner may enter.

        Raises
        ------
        EmbeddedError
            If the folder holds something else, or cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            ours = self.lock_file.exists() or self.state_file.exists()
            if not ours and any(self.path.iterdir()):
                msg = f"{self.path} is not empty and holds no embedded Rucio; choose another --home"
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
