"""Fills pages of the reference from the source, so that they cannot fall behind it.

A line ``% from source: <name>`` in a page is replaced by the Markdown that the function of that name gives.
"""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import re
from typing import TYPE_CHECKING, Any

import attrs
from sphinx.errors import ExtensionError
from sphinx.pycode import ModuleAnalyzer

from ctao_bdms import errors
from ctao_bdms.access import QUERY_WORDS, SPECIAL_WORDS
from ctao_bdms.causes import Cause
from ctao_bdms.daemon.config.example import example
from ctao_bdms.daemon.config.load import keys
from ctao_bdms.daemon.config.settings import Settings
from ctao_bdms.daemon.face.families import FAMILIES
from ctao_bdms.embedded import RSES
from ctao_bdms.ingest import CheckPolicy
from ctao_bdms.integrity import DL0_KINDS
from ctao_bdms.integrity.dl3 import DL3_CLASSES
from ctao_bdms.journal import FileState
from ctao_bdms.model import METADATA, DataLevel, DefectKind, Flag, RetentionClass
from ctao_bdms.replication import CentreTerms, PlacementTerms, ProductEntry, Retention
from ctao_bdms.replication.policyfile import DEFAULT
from ctao_bdms.settings import keys_of, toml
from ctao_rucio_policy.roles import CONDITIONS, GUARDS, TABLE, Cell, Role
from ctao_rucio_policy.schema import ACTIVITIES, RSE_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

__all__ = ["FILLED", "setup"]

_MARK = re.compile(r"^% from source: (?P<name>[a-z0-9-]+)$", re.MULTILINE)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _bound(value: object) -> str:
    """Return a bound of a key: of a time, its date."""
    return f"{value:%F}" if isinstance(value, dt.date) else str(value)


def _metadata() -> str:
    """Return the table of metadata keys."""
    return _table(
        ("key", "type", "unit", "from", "to", "FITS keyword", "required at", "indexed", "what it is"),
        (
            (
                f"`{row.key}`",
                row.type.value,
                row.unit,
                *(("", "") if row.bounds is None else map(_bound, row.bounds)),
                ", ".join(f"`{keyword}`" for keyword in row.keywords),
                "all levels" if row.required == frozenset(DataLevel) else ", ".join(map(str, sorted(row.required))),
                "yes" if row.indexed else "",
                row.description,
            )
            for row in METADATA.values()
        ),
    )


def _words() -> str:
    """Return the short words of queries and the keys that they stand for."""
    rows = [(f"`{word}`", f"`{key}`", METADATA[key].description) for word, (key, _) in QUERY_WORDS.items()]
    return _table(
        ("word", "key", "what it is"), [*rows, *((f"`{word}`", "", what) for word, what in SPECIAL_WORDS.items())]
    )


def _remarks(module: str, owner: str) -> dict[str, str]:
    """Return the ``#:`` remarks on the members of a class by their names."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs()
    return {name: " ".join(lines).strip() for (cls, name), lines in found.items() if cls == owner}


def _defects() -> str:
    """Return the table of kinds of defects."""
    remarks = _remarks("ctao_bdms.model.defects", "DefectKind")
    return _table(("kind", "what it means"), ((f"`{kind.value}`", remarks[kind.name]) for kind in DefectKind))


def _journal_states() -> str:
    """Return the table of states of a file in the journal."""
    remarks = _remarks("ctao_bdms.journal.records", "FileState")
    return _table(("state", "what it means"), ((f"`{state.value}`", remarks[state.name]) for state in FileState))


def _causes() -> str:
    """Return the table of causes for which files wait."""
    remarks = _remarks("ctao_bdms.causes", "Cause")
    return _table(
        ("cause", "shared", "what it means"),
        ((f"`{cause.value}`", "yes" if cause.is_shared else "", remarks[cause.name]) for cause in Cause),
    )


def _copy_causes() -> str:
    """Return the table of causes for which copies do not come."""
    rows = importlib.import_module("ctao_bdms.replication.copy_causes").CAUSES
    words = {name: name.upper() for name in ("source", "rse", "rule", "lfn", "account", "block")}
    return _table(
        ("cause", "what is said", "what helps"),
        ((f"*{row.cause.value}*", row.sentence.format(**words), row.help.format(**words)) for row in rows),
    )


def _flags() -> str:
    """Return the table of flags."""
    remarks = _remarks("ctao_bdms.model.facts", "Flag")
    return _table(("flag", "what it means"), ((f"`{flag.value}`", remarks[flag.name]) for flag in Flag))


def _dl0_kinds() -> str:
    """Return the tables that each kind of DL0 file must have."""
    return _table(
        ("kind", "table", "`PBFHEAD`", "rows"),
        (
            (kind.name, f"`{table.name}`", f"`{table.message}`", "any" if table.rows is None else table.rows)
            for kind in DL0_KINDS
            for table in kind.tables
        ),
    )


def _dl3_classes() -> str:
    """Return what each class of table of a science-ready file must have."""

    def words(texts: Iterable[str]) -> str:
        return ", ".join(f"`{text}`" for text in texts)

    return _table(
        ("`HDUCLAS1`, `HDUCLAS2`", "a file of it is", "keywords", "columns", "rows at least", "needs"),
        (
            (words(each.words), each.kind, words(each.keywords), words(each.columns), each.min_rows, each.needs)
            for each in DL3_CLASSES
        ),
    )


def _checks() -> str:
    """Return the checks of name against content."""
    said = inspect.getdoc(CheckPolicy) or ""
    rows = re.findall(r"^(\w[\w, ]*)\n    (.+(?:\n    .+)*)", said.partition("----------\n")[2], re.MULTILINE)
    return _table(("check", "what must hold"), ((f"`{name}`", what.replace("\n    ", " ")) for name, what in rows))


def _errors() -> str:
    """Return the table of kinds of errors, with the built-in that each also is."""
    kinds = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.BdmsError)]
    integrity = importlib.import_module("ctao_bdms.integrity.errors")
    kinds += [getattr(integrity, name) for name in integrity.__all__]

    def row(kind: type[errors.BdmsError]) -> tuple[str, str, str, str]:
        others = [base for base in kind.__mro__ if base.__module__ == "builtins"]
        also = next((base.__name__ for base in others if base not in (Exception, BaseException, object)), "")
        return (
            f"`{kind.__name__}`",
            f"`{also}`" if also else "",
            "yes" if kind.transient else "",
            (inspect.getdoc(kind) or "").partition("\n\n")[0],
        )

    return _table(("error", "is also a", "later it may work", "what it means"), map(row, kinds))


def _exit_codes() -> str:
    """Return the table of exit codes."""
    app = importlib.import_module("ctao_bdms.cli.app")
    said = {
        app.OK: "all is well",
        app.WRONG: "something is wrong, and was said: a bad file, a refused request, a part that does not run",
        app.USAGE: "the request makes no sense as it was put: an unknown option, word, name or key",
        app.LATER: "the archive does not answer, or not yet; the same command may work later",
        app.INTERRUPTED: "interrupted with Ctrl-C",
    }
    return _table(("code", "meaning"), said.items())


def _rses() -> str:
    """Return the storage elements of the embedded Rucio and their attributes."""
    shown = {name: element.all_attributes("http://127.0.0.1:<port>") for name, element in RSES.items()}
    keys = sorted({key for attributes in shown.values() for key in attributes}, key=str.lower)
    return _table(
        ("attribute", *(f"`{name}`" for name in shown)),
        ((f"`{key}`", *(str(attributes.get(key, "")) for attributes in shown.values())) for key in keys),
    )


def _commands() -> str:
    """Return the reference of the command line, one section a command."""
    app = importlib.import_module("ctao_bdms.cli.app").app
    text: str = app.generate_docs(output_format="markdown", recursive=True, heading_level=1)
    return text[text.index("\n## bdms ") :]


def _permissions() -> str:
    """Return the table of permissions."""

    def said(cell: Cell) -> str:
        return "no" if cell.refusal else f"if {CONDITIONS[cell.condition]}" if cell.condition else "yes"

    return _table(
        ("what is asked", *(f"`{role.value}`" for role in Role), "and for every role"),
        (
            (row.what, *(said(row.cells[role]) for role in Role), f"if {GUARDS[row.guard]}" if row.guard else "")
            for row in TABLE.values()
        ),
    )


def _roles() -> str:
    """Return the table of roles."""
    remarks = _remarks("ctao_rucio_policy.roles", "Role")
    return _table(("role", "who has it"), ((f"`{role.value}`", remarks[role.name]) for role in Role))


def _refusals() -> str:
    """Return what is said to whom who is refused."""
    rows = []
    for row in TABLE.values():
        for sentence in dict.fromkeys(cell.refusal for cell in row.cells.values() if cell.refusal):
            roles = [f"`{role.value}`" for role, cell in row.cells.items() if cell.refusal == sentence]
            if roles != [f"`{Role.READER.value}`"]:
                rows.append((row.what, ", ".join(roles), sentence.replace("<", "&lt;")))
    return _table(("what is asked", "by", "what is said"), rows)


def _activities() -> str:
    """Return the table of activities."""
    return _table(("activity", "what it is for"), ((f"`{name}`", what) for name, what in ACTIVITIES.items()))


def _rse_attributes() -> str:
    """Return the meaning of the attributes of storage elements."""
    return _table(("attribute", "meaning"), ((f"`{name}`", what) for name, what in RSE_ATTRIBUTES.items()))


def _ingestd_settings() -> str:
    """Return the settings of the ingestion daemon, one section a section."""
    parts = []
    for section in attrs.fields(attrs.resolve_types(Settings)):
        rows = [
            (
                f"`{key.name}`",
                key.expected,
                "" if key.required else f"`{toml(key.default)}`",
                "yes" if key.about["reload"] else "",
                key.about["help"].replace("<", "&lt;"),
            )
            for key in keys()
            if key.section == section.name
        ]
        about = (inspect.getdoc(section.type) or "").partition("\n")[0]
        parts.append(
            f"## `[{section.name}]`\n\n{about}\n\n" + _table(("key", "value", "default", "reload", "meaning"), rows)
        )
    return "\n\n".join(parts)


def _ingestd_example() -> str:
    """Return the example file of the ingestion daemon."""
    return f"```toml\n{example()}```"


def _ingestd_metrics() -> str:
    """Return the metrics of the ingestion daemon."""
    return _table(
        ("metric", "kind", "labels", "what it says"),
        (
            (f"`{row.name}`", row.kind.value, ", ".join(f"`{label}`" for label in row.labels), row.help)
            for row in FAMILIES.values()
        ),
    )


def _policy() -> str:
    """Return the keys of the policy file, one section a section."""
    parts = []
    for title, kind in (
        ("[retention.CLASS]", Retention),
        ("[[product]]", ProductEntry),
        ("[centre.NAME]", CentreTerms),
        ("[placement]", PlacementTerms),
    ):
        rows = [
            (f"`{key.name}`", key.expected, "" if key.required else f"`{toml(key.default)}`", key.about["help"])
            for key in keys_of(kind, "")
        ]
        about = (inspect.getdoc(kind) or "").partition("\n")[0]
        parts.append(f"## `{title}`\n\n{about}\n\n" + _table(("key", "value", "default", "meaning"), rows))
    remarks = _remarks("ctao_bdms.model.levels", "RetentionClass")
    classes = _table(("class", "for"), ((f"`{name.value}`", remarks[name.name]) for name in RetentionClass))
    return f"## Retention classes\n\n{classes}\n\n" + "\n\n".join(parts)


def _policy_default() -> str:
    """Return the observatory's own policy."""
    return f"```toml\n{DEFAULT.read_text(encoding='utf-8')}```"


FILLED = {
    "activities": _activities,
    "causes": _causes,
    "checks": _checks,
    "commands": _commands,
    "copy-causes": _copy_causes,
    "defects": _defects,
    "dl0-kinds": _dl0_kinds,
    "dl3-classes": _dl3_classes,
    "errors": _errors,
    "exit-codes": _exit_codes,
    "ingestd-example": _ingestd_example,
    "ingestd-metrics": _ingestd_metrics,
    "ingestd-settings": _ingestd_settings,
    "journal-states": _journal_states,
    "flags": _flags,
    "metadata": _metadata,
    "permissions": _permissions,
    "policy": _policy,
    "policy-default": _policy_default,
    "refusals": _refusals,
    "roles": _roles,
    "rse-attributes": _rse_attributes,
    "rses": _rses,
    "words": _words,
}


def _fill(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Put what the source says in place of each mark of a page."""

    def given(match: re.Match[str]) -> str:
        if match["name"] not in FILLED:
            raise ExtensionError(f"{docname}: nothing is called {match['name']!r}; there are {', '.join(FILLED)}")
        return FILLED[match["name"]]()

    source[0] = _MARK.sub(given, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
