"""Where Rucio's client keeps its token: in a folder that is ours alone.

Rucio's own choice is a name in the temporary folder that anybody can make first, and that needs an entry of the user in
the password database: containers and batch systems run with user ids that have none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from rucio.common import config as rucio_config

from ctao_bdms.errors import UsageError

__all__ = ["keep_token_privately"]

_SECTION, _OPTION = "client", "auth_token_file_path"

#: The folder of one user, by the number of the user: a name may be missing.
_FOLDER = "ctao-bdms-{}"

#: What says whose token it is: options of the section, and the variables that overrule them.
_OPTIONS = ("rucio_host", "auth_host", "account", "vo", "auth_type", "username", "client_cert")
_VARIABLES = ("RUCIO_ACCOUNT", "RUCIO_VO", "RUCIO_AUTH_TYPE", "RUCIO_CLIENT_CERT")


def keep_token_privately() -> None:
    """Name a token file in Rucio's configuration, unless the configuration names one itself.

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
