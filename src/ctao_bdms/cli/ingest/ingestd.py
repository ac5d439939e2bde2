"""bdms ingestd."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import Json
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import UsageError

__all__ = ["Shown", "ingestd"]


class Shown(StrEnum):
    """The files that `bdms ingestd --print` can print."""

    EXAMPLE = "example"
    UNIT = "unit"
    DASHBOARD = "dashboard"
    ALERTS = "alerts"
    CONTAINER = "container"


def ingestd(
    *,
    config: Annotated[Path | None, Parameter(help="The settings, a TOML file.")] = None,
    setting: Annotated[
        tuple[str, ...],
        Parameter(name="--set", negative="", help="One setting, overriding file and environment: workers.number=8."),
    ] = (),
    check: Annotated[
        bool, Parameter(negative="", help="Test everything that the daemon needs, print the result, and exit.")
    ] = False,
    shown: Annotated[
        Shown | None,
        Parameter(name="--print", help="Print a file for the deployment, and exit."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Run the ingestion daemon for the inbox of a site.

    Settings come from the file, the environment and `--set`; later ones override earlier ones. `--print example`
    prints a file with all settings. `--check` tests server, account, storage, quarantine, clock and workers.

    Exit code of `--check`: 0 if the daemon can run, 1 if there is a problem, 2 if the settings are invalid.

    Example: `bdms ingestd --config /etc/bdms/ingestd.toml --check`
    """
    if shown is not None:
        print(_text(shown, config), end="")
        return 0
    from ctao_bdms.daemon.config import Settings, settings_from

    def read() -> Settings:
        return settings_from(config, os.environ, dict(map(_pair, setting)))

    settings = read()
    if not check:
        from ctao_bdms.daemon.service import Service

        Service(settings, reload=read, notify=os.environ.get("NOTIFY_SOCKET", "")).run()
        return 0
    from ctao_bdms.daemon.config.check import check as tried

    findings = tried(settings)
    Output(as_json=as_json).rows(findings)
    return 0 if findings.ok else 1


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: expected SECTION.KEY=VALUE")
    return key.strip(), value.strip()


def _text(shown: Shown, config: Path | None) -> str:
    """Return a deployment file."""
    from ctao_bdms.daemon.config.example import example
    from ctao_bdms.daemon.deploy import deployed, unit

    if shown is Shown.EXAMPLE:
        return example()
    return unit(config) if shown is Shown.UNIT else deployed(shown.value)
