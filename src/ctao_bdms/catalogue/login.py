"""How a process connects to a Rucio server."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import attrs
from rucio.client.client import Client
from rucio.common import config as rucio_config

from ctao_bdms.catalogue.convert import converted
from ctao_bdms.catalogue.tokens import keep_token_privately
from ctao_bdms.processes import PerProcess

__all__ = ["Login"]

_LOG = logging.getLogger(__name__)
#: Rucio has one configuration for the whole process. The child of a fork has a lock of its own: a thread that it does
#: not have may hold the other.
_CONFIG_LOCK = PerProcess(threading.Lock)


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
                keep_token_privately()
                client = Client(account=self.account or None, logger=_LOG, timeout=self.timeout_s)
                client.whoami()  # a token that was kept from last time proves nothing
        return client
