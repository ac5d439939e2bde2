"""Connect a process to a Rucio server."""

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
from ctao_bdms.proxies import proxy_of, spare_loopback

__all__ = ["Login"]

_LOG = logging.getLogger(__name__)
#: Protects Rucio's configuration, of which there is one per process. A forked child gets a new lock, because the
#: parent's may be held by a thread that does not exist in the child.
_CONFIG_LOCK = PerProcess(threading.Lock)
_SECTION, _OPTION = "client", "auth_token_file_path"
#: The folder of one user, by user id: in containers, a user may have no name.
_FOLDER = "ctao-bdms-{}"
#: The options that identify the owner of a token; environment variables override them.
_OPTIONS = ("rucio_host", "auth_host", "account", "vo", "auth_type", "username", "client_cert")
_VARIABLES = ("RUCIO_ACCOUNT", "RUCIO_VO", "RUCIO_AUTH_TYPE", "RUCIO_CLIENT_CERT")


@attrs.frozen(kw_only=True)
class Login:
    """The settings of a connection, without secrets, so that they can be passed to other processes.

    No password, token or connection is stored here.

    Attributes
    ----------
    config
        The client's ``rucio.cfg``, an absolute path.
    account
        The account; empty to use that of the configuration or the environment.
    timeout_s
        The time in seconds after which a silent server counts as unreachable.
    host
        The URL of the server, for messages; empty before the first connection.
    """

    config: Path
    account: str = ""
    host: str = ""
    timeout_s: float = 600.0

    @classmethod
    def by(cls, config: Path | None = None, *, timeout_s: float = 600.0) -> Login:
        """Return the login for a configuration file, by default the one that Rucio finds.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with converted("looking for the configuration of Rucio"):
            found = config or Path(rucio_config.Config().configfile)
        return cls(config=found.absolute(), timeout_s=timeout_s)

    def connect(self) -> Client:
        """Return a new client whose credentials the server has accepted.

        Raises
        ------
        AuthenticationError, UnreachableError
            If the server refuses or does not answer.
        NotFoundError
            If the configuration cannot be read.
        """
        with _CONFIG_LOCK.get():
            os.environ["RUCIO_CONFIG"] = str(self.config)
            rucio_config.clean_cached_config()  # Rucio caches the file that it read first
            spare_loopback()
            with converted(f"reading {self.config}"):
                server = self._server()
            with converted(f"connecting to {server} with {self.config}"):
                _keep_token_privately()
                client = Client(account=self.account or None, logger=_LOG, timeout=self.timeout_s)
                client.whoami()  # a cached token may be invalid
        return client

    def _server(self) -> str:
        """Return the server and account of Rucio's configuration for messages, with the proxy on the way there."""
        url = rucio_config.config_get(_SECTION, "rucio_host", False, "")
        account = (
            self.account or os.environ.get("RUCIO_ACCOUNT") or rucio_config.config_get(_SECTION, "account", False, "")
        )
        way = f"through the proxy {proxy}" if (proxy := proxy_of(url)) else ""
        return " ".join(filter(None, [url or "Rucio", f"as {account}" if account else "", way]))


def _keep_token_privately() -> None:
    """Set a token file in a private folder in Rucio's configuration, unless the configuration has one.

    By default, Rucio uses a name in the temporary folder that any user can create first, and needs an entry of the
    user in the password database. Containers and batch systems run with user ids that have none.

    Raises
    ------
    UsageError
        If the folder belongs to another user, or is accessible to others.
    """
    if not rucio_config.config_has_section(_SECTION):
        return  # the client reports this itself
    named = rucio_config.config_get(_SECTION, _OPTION, False, "")
    if named and Path(named).parent.name != _FOLDER.format(os.geteuid()):
        return
    said = [rucio_config.config_get(_SECTION, option, False, "") for option in _OPTIONS]
    said += [os.environ.get(variable, "") for variable in _VARIABLES]
    name = hashlib.sha256("\n".join(map(str, said)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    rucio_config.config_set(_SECTION, _OPTION, str(_private_folder() / f"token-{name}"))


def _private_folder() -> Path:
    """Return a folder that only this user can access; create it if it is missing."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    above = Path(runtime) if runtime and _is_private(Path(runtime)) else Path(tempfile.gettempdir())
    folder = above.absolute() / _FOLDER.format(os.geteuid())
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise UsageError(f"{folder} is not private and cannot store a token; remove it, or set {_OPTION} in rucio.cfg")
    return folder


def _is_private(folder: Path) -> bool:
    """Return whether a path is a folder of this user without access for others; a link is not."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    is_closed = not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and is_closed
