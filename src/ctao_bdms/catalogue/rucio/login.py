"""How a process connects to a Rucio server."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import threading
from pathlib import Path

import attrs
from rucio.client.client import Client
from rucio.common import config as rucio_config

from ctao_bdms.catalogue.rucio.convert import converted
from ctao_bdms.errors import UsageError
from ctao_bdms.processes import PerProcess

__all__ = ["Login"]

_LOG = logging.getLogger(__name__)
#: Rucio has one configuration for the whole process. The child of a fork has a lock of its own: a thread that it does
#: not have may hold the other.
_CONFIG_LOCK = PerProcess(threading.Lock)
_SECTION, _OPTION = "client", "auth_token_file_path"
#: The folder of one user, by the number of the user: a name may be missing.
_FOLDER = "ctao-bdms-{}"
#: What says whose token it is: options of the section, and the variables that overrule them.
_OPTIONS = ("rucio_host", "auth_host", "account", "vo", "auth_type", "username", "client_cert")
_VARIABLES = ("RUCIO_ACCOUNT", "RUCIO_VO", "RUCIO_AUTH_TYPE", "RUCIO_CLIENT_CERT")


@attrs.frozen(kw_only=True)
class Login:
    """How a process connects: no password, token or connection is in here, so that it can go to other processes.

    Attributes
    ----------
    config
        The client's ``rucio.cfg``, an absolute path.
    account
        The account; empty if the configuration or the environment says it.
    timeout_s
        How long the server may be silent within a request, in seconds.
    host
        The URL of the server, for messages; empty if nobody has connected yet.
    """

    config: Path
    account: str = ""
    host: str = ""
    timeout_s: float = 600.0

    @classmethod
    def by(cls, config: Path | None = None, *, timeout_s: float = 600.0) -> Login:
        """Return the way to connect by a configuration file, by default the one that Rucio finds by itself.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with converted("looking for the configuration of Rucio"):
            found = config or Path(rucio_config.Config().configfile)
        return cls(config=found.absolute(), timeout_s=timeout_s)

    def connect(self) -> Client:
        """Return a new client that the server has accepted.

        Raises
        ------
        AuthenticationError, UnreachableError
            If the server refuses or does not answer.
        NotFoundError
            If the configuration cannot be read.
        """
        with _CONFIG_LOCK.get():
            os.environ["RUCIO_CONFIG"] = str(self.config)
            rucio_config.clean_cached_config()  # whatever was read under that name, or another, before
            with converted(f"connecting to Rucio as {self.config} says"):
                _keep_token_privately()
                client = Client(account=self.account or None, logger=_LOG, timeout=self.timeout_s)
                client.whoami()  # a token that was kept from last time proves nothing
        return client


def _keep_token_privately() -> None:
    """Name a token file in a private folder in Rucio's configuration, unless the configuration names one itself.

    Rucio's own choice is a name in the temporary folder that anybody can make first, and that needs an entry of the
    user in the password database: containers and batch systems run with user ids that have none.

    Raises
    ------
    UsageError
        If the folder for it belongs to somebody else, or is open to others.
    """
    if not rucio_config.config_has_section(_SECTION):
        return  # the client says so itself
    named = rucio_config.config_get(_SECTION, _OPTION, False, "")
    if named and Path(named).parent.name != _FOLDER.format(os.geteuid()):
        return
    said = [rucio_config.config_get(_SECTION, option, False, "") for option in _OPTIONS]
    said += [os.environ.get(variable, "") for variable in _VARIABLES]
    name = hashlib.sha256("\n".join(map(str, said)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    rucio_config.config_set(_SECTION, _OPTION, str(_private_folder() / f"token-{name}"))


def _private_folder() -> Path:
    """Return a folder for which only this user has rights; it is made if it is missing."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    above = Path(runtime) if runtime and _is_private(Path(runtime)) else Path(tempfile.gettempdir())
    folder = above.absolute() / _FOLDER.format(os.geteuid())
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise UsageError(
            f"{folder} is not private, and no place for a token: remove it, or name a file by {_OPTION} in rucio.cfg"
        )
    return folder


def _is_private(folder: Path) -> bool:
    """Return whether a path is a folder of this user that nobody else may enter; a link is none."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    is_closed = not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and is_closed
