"""bdms name."""

from __future__ import annotations

from typing import Annotated, ClassVar

import cyclopts
from cyclopts import Parameter
from rich.markup import escape

from ctao_bdms.cli.common import Json
from ctao_bdms.cli.output import Output, plain
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming import NamePart, explain_name
from ctao_bdms.rows import Rows

__all__ = ["name"]

name = cyclopts.App(name="name", help="Explain the names of files.")


class _Table(Rows[NamePart]):
    columns: ClassVar = (("part", "name"), ("value", "value"), ("meaning", "meaning"))


@name.command
def explain(
    names: Annotated[list[str], Parameter(name="NAME", help="Logical file names, paths, URLs or names of files.")],
    /,
    *,
    vo: Annotated[str, Parameter(help="The virtual organisation: everything before it is a storage prefix.")] = "ctao",
    as_json: Json = False,
) -> int:
    """Explain each part of a name, or show where it is wrong. Needs no archive.

    Example: `bdms name explain TEL001_SDH0001_20261121T221500_SBID2000000001_OBSID2000000002_CHUNK003.fits.fz`
    """
    output = Output(as_json=as_json)
    wrong = False
    for text in names:
        try:
            found = explain_name(text, vo)
        except InvalidNameError as error:
            wrong = True
            output.json({"text": text, "valid": False, "reason": error.reason, "position": error.position})
            output.line(escape(_pointed(error)))
            continue
        output.json({**plain(found), "text": text, "valid": True})
        if as_json:
            continue
        output.line(escape(found.text))
        output.rows(_Table(found.parts))
        for what, value in (("kind", found.kind), ("identifier", found.identifier), ("in", found.directory)):
            if value:
                output.line(escape(f"{what}: {value}"))
    return 2 if wrong else 0


def _pointed(error: InvalidNameError) -> str:
    """Return a wrong name with a caret under the wrong character."""
    shown = "".join(character if character.isprintable() else "?" for character in error.text)
    caret = [] if error.position is None else [" " * error.position + "^"]
    return "\n".join([shown, *caret, error.reason])
