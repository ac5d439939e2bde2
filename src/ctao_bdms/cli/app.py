"""The tree of commands, and the conversion of errors to messages and exit codes."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import cyclopts
from rich.console import Console

from ctao_bdms.cli.access.get import get
from ctao_bdms.cli.access.locate import locate
from ctao_bdms.cli.access.name import name
from ctao_bdms.cli.access.query import query
from ctao_bdms.cli.access.track import track
from ctao_bdms.cli.embedded.demo import demo
from ctao_bdms.cli.embedded.down import down
from ctao_bdms.cli.embedded.status import status
from ctao_bdms.cli.embedded.up import up
from ctao_bdms.cli.ingest.ingest import ingest
from ctao_bdms.cli.ingest.ingestd import ingestd
from ctao_bdms.cli.ingest.journal import journal
from ctao_bdms.cli.ingest.night import night
from ctao_bdms.cli.ingest.plan import plan
from ctao_bdms.cli.ingest.put import put
from ctao_bdms.cli.ingest.quarantine import quarantine
from ctao_bdms.cli.ingest.replay import replay
from ctao_bdms.cli.ingest.scan import scan
from ctao_bdms.cli.preservation.evidence import evidence
from ctao_bdms.cli.preservation.manifest import manifest
from ctao_bdms.cli.preservation.release import release
from ctao_bdms.cli.replication.centres import centres
from ctao_bdms.cli.replication.placement import placement
from ctao_bdms.cli.replication.policy import policy
from ctao_bdms.cli.replication.reconcile import reconcile
from ctao_bdms.cli.replication.rules import rules
from ctao_bdms.errors import BdmsError, InvalidMetadataError, InvalidNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

#: Exit codes: success; a problem was found; wrong usage; temporary failure; interrupted.
OK, WRONG, USAGE, LATER, INTERRUPTED = 0, 1, 2, 3, 130

_EPILOGUE = """\
Exit codes: 0 success, 1 a problem was found and reported, 2 wrong usage, 3 the archive does not answer and the command
may work later, 130 interrupted. With --json, lists are printed as one JSON object per line.
"""

app = cyclopts.App(
    name="bdms",
    help="Bulk data management for the Cherenkov Telescope Array Observatory.",
    help_epilogue=_EPILOGUE,
    help_format="markdown",
    version=lambda: version("ctao-bdms"),
    suppress_keyboard_interrupt=False,
)

for _group, _commands in (
    ("Demonstration", (demo,)),
    ("Embedded Rucio", (up, down, status)),
    ("Ingest", (scan, plan, ingest, put, ingestd, night, replay, journal, quarantine)),
    ("Query and retrieve", (query, locate, track, get)),
    ("Replication", (policy, placement, centres, reconcile, rules)),
    ("Preservation", (manifest, evidence, release)),
    ("Names", (name,)),
):
    _ordered = cyclopts.Group.create_ordered(_group)
    for _command in _commands:
        if isinstance(_command, cyclopts.App):  # it has subcommands
            _command.group = (_ordered,)
            app.command(_command)
        else:
            app.command(_command, group=_ordered)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may have bytes that are not text
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=os.environ.get("BDMS_LOG", "ERROR").upper(), format="%(levelname)s %(name)s: %(message)s")
    # Rucio's client logs errors that it then raises; the error message is enough.
    logging.getLogger("ctao_bdms.catalogue.rucio.login").setLevel(logging.CRITICAL)
    errors = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a terminated command cleans up
    try:
        code = app(arguments, exit_on_error=False, print_error=True, error_console=errors, result_action="return_value")
        sys.stdout.flush()  # raises here at the latest if the reader of a pipe has ended
    except cyclopts.CycloptsError:
        return USAGE
    except (UsageError, InvalidMetadataError, InvalidNameError) as error:
        return _said(errors, error, USAGE)
    except BdmsError as error:
        return _said(errors, error, LATER if error.transient else WRONG)
    except BrokenPipeError:
        # The reader of the pipe has ended (bdms query | head); avoid an error when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        return _said(errors, error, WRONG)
    except KeyboardInterrupt:
        return _said(errors, KeyboardInterrupt("interrupted"), INTERRUPTED)
    return int(code or OK)


def _said(errors: Console, error: BaseException, code: int) -> int:
    """Print the message of `error` and return `code`."""
    errors.print(f"[bold red]bdms:[/] {str(error).replace('[', chr(92) + '[')}", soft_wrap=True)
    return code
