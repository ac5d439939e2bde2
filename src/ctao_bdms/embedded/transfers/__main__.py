"""Run the transfer service in the foreground: ``python -m ctao_bdms.embedded.transfers``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from waitress.server import create_server

from ctao_bdms.embedded.transfers.app import make_app
from ctao_bdms.embedded.transfers.database import Database
from ctao_bdms.embedded.transfers.movers import make_movers
from ctao_bdms.embedded.transfers.storages import Storages
from ctao_bdms.embedded.transfers.store import Store
from ctao_bdms.embedded.transfers.workers import Workers
from ctao_bdms.errors import BdmsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_log = logging.getLogger("ctao_bdms.embedded.transfers")
_DAY_S = 86400.0
_PATIENCE_S = 1.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after a signal, 1 after a failure, 2 if it could not start."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        database = Database(options.database)
    except BdmsError as error:
        _log.error("%s", error)
        return 2
    return _serve(options, database)


def _serve(options: argparse.Namespace, database: Database) -> int:
    """Serve the jobs of a database until a signal."""
    died: list[bool] = []

    def on_death() -> None:
        died.append(True)
        os.kill(os.getpid(), signal.SIGTERM)

    store, movers = Store(database), make_movers(options.root)
    workers = Workers(store, movers, count=options.workers, keep_s=options.keep_days * _DAY_S, on_death=on_death)
    app = make_app(store, Storages(database), workers, movers)
    try:
        # Waitress runs in this process, and does not limit the request line: Rucio puts hundreds of jobs in one URL.
        server = create_server(app, host="127.0.0.1", port=options.port, threads=4, ident="ctao-bdms")
    except OSError as error:
        _log.error("cannot listen on 127.0.0.1:%d: %s", options.port, error.strerror)
        return 2
    try:
        workers.start()
        _log.info("listening on http://127.0.0.1:%d with %d movers", options.port, options.workers)
        server.run()
    finally:
        # A mover that hangs in the operating system still uses the database, so it is closed only if all have ended.
        if workers.stop(_PATIENCE_S):
            database.close()
    return 1 if died else 0


def _leave(signum: int, frame: FrameType | None) -> None:
    """Stop the server loop at the first signal; ignore further ones, so that the shutdown can complete."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ctao_bdms.embedded.transfers", description="FTS3-compatible transfers on loopback."
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file of the jobs")
    parser.add_argument("--workers", type=_at_least_one, default=4, help="number of simultaneous copies (default: 4)")
    parser.add_argument(
        "--root",
        type=Path,
        action="append",
        default=[],
        help="allowed folder of file:// URLs; repeatable; default: all",
    )
    parser.add_argument("--keep-days", type=float, default=7.0, help="days to keep ended jobs (default: 7)")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


def _at_least_one(text: str) -> int:
    """Parse a positive whole number."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _end(code: int) -> NoReturn:
    """Exit with `code` even if the standard streams cannot be flushed: Python would exit with another code."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
