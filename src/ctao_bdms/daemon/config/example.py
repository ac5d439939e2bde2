"""Generate the commented example file from the settings."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import attrs

from ctao_bdms.daemon.config.load import keys
from ctao_bdms.daemon.config.settings import Settings
from ctao_bdms.settings import toml

__all__ = ["example"]

_HEAD = """\
# Settings of the ingestion daemon: bdms ingestd --config FILE
#
# What is commented out shows the default. Relative paths are relative to this file. Times are in seconds (_s), sizes in
# bytes (_bytes). Try it with: bdms ingestd --config FILE --check
# (reload): taken over by a running daemon on SIGHUP; everything else needs a restart.
"""


def example() -> str:
    """Return the example file.

    Required settings have an example; all others are commented out with their default.

    Examples
    --------
    >>> print(example().splitlines()[-1])
    # drain_s = 10.0
    """
    lines = [_HEAD]
    about = {section.name: _first_line(section.type) for section in attrs.fields(attrs.resolve_types(Settings))}
    for section, members in groupby(keys(), key=lambda key: key.section):
        lines += [f"# {about[section]}", f"[{section}]"]
        for key in members:
            reload = " (reload)" if key.about["reload"] else ""
            lines.append(f"# {key.about['help']} {key.expected[0].upper()}{key.expected[1:]}.{reload}")
            if key.required:
                lines.append(f"{key.name} = {toml(key.about['example'])}")
            else:
                lines.append(f"# {key.name} = {toml(key.default)}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _first_line(kind: Any) -> str:  # noqa: ANN401 - a class of settings
    return str(kind.__doc__).partition("\n")[0]
