"""Write the configuration files of an embedded Rucio; they are rewritten at every start.

Server and clients have different files, because Rucio acts as a server in every process whose file has a
``[database]`` section.
"""

from __future__ import annotations

import configparser
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.durable import replace_text
from ctao_bdms.embedded.rucio.protocols import transfer_scheme
from ctao_bdms.embedded.topology import ACCOUNTS, ROOT
from ctao_bdms.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.embedded.home import Home
    from ctao_bdms.embedded.state import State

__all__ = ["SCHEMA", "write_configuration"]

#: The database schema of Rucio's tables.
SCHEMA = "rucio"

_POLICY = {
    "package": "ctao_rucio_policy",
    "permission": "generic",
    "lfn2pfn_algorithm_default": "ctao_bdms",
    "extract_scope": "ctao_bdms",
}
# Options that are not in the file are read from the database each time, so frequently used options are set here.
_SERVER: Mapping[str, Mapping[str, str]] = {
    "policy": _POLICY,
    "cache": {"url": "127.0.0.1:1", "use_external_cache_for_auth_tokens": "False"},
    "monitor": {"enable_metrics": "False"},
    "metadata": {"plugins": "ctao_bdms.server.metadata.CtaoMetadata"},
    "repairer": {"updated_at_delta": "5"},
    "core": {"geoip_expire_delay": "0", "geoip_ignore_error": "True"},
    "transfers": {"multihop_rse_expression": ""},
}


def _client(home: Home, state: State, account: str) -> dict[str, str]:
    """Return the client section of `account`."""
    return {
        "rucio_host": state.server_url,
        "auth_host": state.server_url,
        "auth_type": "userpass",
        "account": account,
        "username": account,
        "password": state.passwords[account],
        "auth_token_file_path": str(home.tokens / account),
    }


def _alembic(database: str) -> dict[str, dict[str, str]]:
    """Return the configuration of Alembic, with the logging sections that Rucio's scripts require."""
    spec = importlib.util.find_spec("rucio.db.sqla")
    if spec is None or spec.origin is None:
        raise MissingExtraError("embedded", "rucio")
    return {
        "alembic": {
            "script_location": str(Path(spec.origin).parent / "migrate_repo"),
            "sqlalchemy.url": database,
            "version_table_schema": SCHEMA,
        },
        "loggers": {"keys": "root"},
        "handlers": {"keys": "console"},
        "formatters": {"keys": "generic"},
        "logger_root": {"level": "WARNING", "handlers": "console", "qualname": ""},
        "handler_console": {"class": "StreamHandler", "args": "(sys.stderr,)", "formatter": "generic"},
        "formatter_generic": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
    }


def _write(path: Path, sections: Mapping[str, Mapping[str, str]]) -> None:
    """Write an INI file, with per cent signs escaped for its parser."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    for section, options in sections.items():
        parser[section] = {key: value.replace("%", "%%") for key, value in options.items()}
    text = io.StringIO()
    parser.write(text)
    replace_text(path, text.getvalue(), mode=0o600)


def write_configuration(home: Home, state: State, socket: Path) -> None:
    """Write the configuration files of server, clients and schema.

    Parameters
    ----------
    state
        Ports, passwords and database.
    socket
        The folder of the socket of the home's own database.
    """
    database = state.sqlalchemy_url(socket)
    common = {"logdir": str(home.log), "loglevel": "ERROR", "mailtemplatedir": str(home.etc), "multi_vo": "False"}
    server = {
        "common": common,
        "client": _client(home, state, ROOT),
        "database": {"default": database, "schema": SCHEMA, "pool_size": "5", "max_overflow": "20"},
        "alembic": {"cfg": str(home.alembic_config)},
        "conveyor": {"scheme": transfer_scheme(state), "transfertool": "fts3", "use_preparer": "False"},
        **_SERVER,
    }
    _write(home.server_config, server)
    for account in ACCOUNTS:
        _write(home.client_config(account), {"client": _client(home, state, account), "policy": _POLICY})
    _write(home.alembic_config, _alembic(database))
