"""Read policy files, and report all problems at once."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import attrs

from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.model import ACTIVITIES, RetentionClass
from ctao_bdms.replication.terms import CentreTerms, PlacementTerms, ProductEntry, Retention
from ctao_bdms.settings import document_of, keys_of, shown, take, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DEFAULT", "Terms", "read_terms"]

#: The observatory's own policy.
DEFAULT = Path(__file__).with_name("ctao.toml")
#: So many centres must keep a block for ever before its copy on site is released.
_CENTRES = 2
_SECTIONS = ("retention", "product", "centre", "placement")


class Terms(TypedDict):
    """The content of a policy file, by section."""

    retentions: dict[RetentionClass, Retention]
    products: tuple[ProductEntry, ...]
    centres: dict[str, CentreTerms]
    placement: PlacementTerms


def read_terms(path: Path) -> Terms:
    """Read a policy file.

    Raises
    ------
    InvalidSettingsError
        If anything in it is wrong; it says all of it, each with its place.
    """
    document = document_of(path)
    problems = [unknown(name, _SECTIONS) for name in document if name not in _SECTIONS]
    retentions = _named(document, "retention", Retention, problems, tuple(map(str, RetentionClass)))
    centres = _named(document, "centre", CentreTerms, problems)
    products = _products(document, problems)
    placement = _of(PlacementTerms, "placement", document.get("placement", {}), problems)
    problems += _contradictions(retentions, products, centres)
    if problems or placement is None:
        raise InvalidSettingsError(path, problems)
    return Terms(
        retentions={RetentionClass(name): each for name, each in retentions.items()},
        products=tuple(entry for entry in products if entry is not None),
        centres=centres,
        placement=placement,
    )


def _named(
    document: dict[str, Any],
    section: str,
    kind: type[Any],
    problems: list[str],
    known: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the sections ``[section.name]`` by name; None for those that are not valid."""
    table = document.get(section, {})
    if not isinstance(table, dict):
        problems.append(f"{section} = {shown(table)} is wrong: expected sections [{section}.NAME]")
        return {}
    found = {}
    for name, values in table.items():
        if known and name not in known:
            problems.append(unknown(f"{section}.{name}", [f"{section}.{each}" for each in known]))
        else:
            found[name] = _of(kind, f"{section}.{name}", values, problems)
    return found


def _products(document: dict[str, Any], problems: list[str]) -> list[ProductEntry | None]:
    """Return the entries ``[[product]]``; None for those that are not valid."""
    entries = document.get("product", [])
    if not isinstance(entries, list):
        problems.append(f"product = {shown(entries)} is wrong: expected entries [[product]]")
        return []
    return [_of(ProductEntry, f"product[{place}]", entry, problems) for place, entry in enumerate(entries, 1)]


def _of(kind: type[Any], section: str, table: object, problems: list[str]) -> Any:  # noqa: ANN401 - a `kind`
    """Return a section of the file; None, with an entry in `problems`, if it is not valid."""
    if not isinstance(table, dict):
        problems.append(f"{section} = {shown(table)} is wrong: expected a section [{section}]")
        return None
    keys = {key.name: key for key in keys_of(kind, section)}
    values: dict[str, object] = {}
    said: list[str] = []
    for name, value in table.items():
        if name not in keys:
            said.append(unknown(f"{section}.{name}", [key.dotted for key in keys.values()]))
        else:
            take(values, said, keys[name], value, keys[name].dotted, Path())
    said += [
        f"{key.dotted} is missing: {key.about['help']}"
        for key in keys.values()
        if key.required and key.name not in table
    ]
    problems += said
    return None if said else kind(**{name.removeprefix(f"{section}."): value for name, value in values.items()})


def _contradictions(
    retentions: dict[str, Retention | None], products: list[ProductEntry | None], centres: dict[str, CentreTerms | None]
) -> Iterator[str]:
    """Yield contradictions between sections."""
    for missing in [name for name in RetentionClass if name not in retentions]:
        yield f"[retention.{missing}] is missing: every retention class must be said"
    for name, retention in retentions.items():
        if retention is not None:
            yield from _of_retention(name, retention)
    for name, terms in centres.items():
        if terms and terms.first_night and terms.last_night and terms.first_night > terms.last_night:
            yield f"centre.{name}: first_night, {terms.first_night}, is after last_night, {terms.last_night}"
    anything = ProductEntry(retention=RetentionClass.PERMANENT)
    conditions = [None if entry is None else attrs.evolve(entry, retention=anything.retention) for entry in products]
    if anything in conditions[:-1]:
        place = conditions.index(anything) + 1
        yield f"product[{place}] fits every product: the {len(conditions) - place} after it are never reached"
    if not conditions or conditions[-1] not in {anything, None}:
        yield "the last [[product]] must fit every product: it may have no key but retention"


def _of_retention(name: str, retention: Retention) -> Iterator[str]:
    """Yield contradictions within a retention class."""
    if retention.activity not in ACTIVITIES:
        near = difflib.get_close_matches(retention.activity, ACTIVITIES, n=1, cutoff=0)[0]
        yield f'retention.{name}.activity: Rucio knows no "{retention.activity}"; the nearest known one is "{near}"'
    if retention.centres is not None:
        willing = [centre for centre, share in retention.centres.items() if share > 0]
        if len(willing) < retention.copies:
            yield (
                f"retention.{name}: {retention.copies} copies need {retention.copies} centres, and there are "
                f"{len(willing)} with a share: {', '.join(willing) or 'none'}"
            )
        for centre in retention.order:
            if centre not in willing:
                yield f"retention.{name}.order: {centre} has no share in retention.{name}.centres"
    if len(set(retention.order)) < len(retention.order):
        yield f"retention.{name}.order: a centre stands there twice"
    if retention.lifetime_s is not None and name == RetentionClass.PERMANENT:
        yield f"retention.{name}.lifetime_s: what is permanent has no end"
    if retention.onsite_days is not None and (retention.lifetime_s is not None or retention.copies < _CENTRES):
        yield (
            f"retention.{name}.onsite_days has no effect: a copy on site is released only where {_CENTRES} centres "
            "keep theirs for ever; leave it out"
        )
