"""The REST server of Rucio under gunicorn, on a socket that the supervisor holds."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from ctao_bdms.processes import die_with_parent

if TYPE_CHECKING:
    import socket

__all__ = ["serve"]

_WORKERS = 2
_THREADS = 4
_REMEMBERED_S = 1  # what is known of a storage element, instead of the memcached that a larger server has
_STOP_S = 1  # how long requests may take to finish; idle connections use it up


def _started(arbiter: Any, _worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Make a worker independent of its parent's connections, but not of its life.

    While it makes the rule of a block, Rucio asks for two attributes of the storage element again for every file. A
    worker remembers them for a moment: that takes two thirds off the time.
    """
    from rucio.core import rse
    from rucio.db.sqla.session import get_engine

    die_with_parent(signal.SIGTERM, arbiter.pid)
    get_engine().dispose(close=False)
    rse.REGION.configure("dogpile.cache.memory", expiration_time=_REMEMBERED_S, replace_existing_backend=True)


class _Application(BaseApplication):  # type: ignore[misc]
    """Rucio's application, with gunicorn configured by this program alone."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn."""
        settings = {
            "bind": f"fd://{self._listener.fileno()}",
            "workers": _WORKERS,
            "worker_class": "gthread",
            "threads": _THREADS,
            "keepalive": 30,
            "timeout": 600,
            "graceful_timeout": _STOP_S,
            "preload_app": True,
            "control_socket_disable": True,
            "loglevel": "warning",
            "post_fork": _started,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 (a WSGI application)
        """Return Rucio's application."""
        from rucio.web.rest.flaskapi.v1.main import application

        return application


def serve(listener: socket.socket) -> None:
    """Serve Rucio's REST interface on `listener` until SIGTERM."""
    os.environ.pop("GUNICORN_CMD_ARGS", None)
    logging.getLogger().setLevel(logging.ERROR)  # Rucio warns about the requests of its own client
    _Application(listener).run()
