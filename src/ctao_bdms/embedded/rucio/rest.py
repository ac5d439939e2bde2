"""Rucio's REST server under gunicorn, on a socket of the supervisor."""

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
_REMEMBERED_S = 1  # cache time of storage elements; a larger server has memcached
_STOP_S = 1  # time for requests to finish; idle connections use all of it


def _started(arbiter: Any, _worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Give a worker its own connections, and end it with its parent.

    When Rucio makes the rule of a block, it reads two attributes of the storage element for every file. A short cache
    in the worker saves two thirds of the time.
    """
    from rucio.core import rse
    from rucio.db.sqla.session import get_engine

    die_with_parent(signal.SIGTERM, arbiter.pid)
    get_engine().dispose(close=False)  # do not close them: the parent shares the sockets
    rse.REGION.configure("dogpile.cache.memory", expiration_time=_REMEMBERED_S, replace_existing_backend=True)


class _Application(BaseApplication):  # type: ignore[misc]
    """Rucio's WSGI application, with gunicorn configured by this program only."""

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
    os.environ.pop("GUNICORN_CMD_ARGS", None)  # it would change the configuration
    logging.getLogger().setLevel(logging.ERROR)  # Rucio warns about requests of its own client
    _Application(listener).run()
