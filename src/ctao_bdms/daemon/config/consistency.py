"""Check settings for contradictions, and merge those of a reload."""

from __future__ import annotations

import attrs

from ctao_bdms.daemon.config.settings import Settings
from ctao_bdms.ingest.checks import CheckPolicy

__all__ = ["contradictions", "merge_reloadable", "restart_needed"]


def contradictions(settings: Settings) -> list[str]:
    """Return the contradictions as sentences, without access to storage or server."""
    root, said = settings.storage.root, []
    said += [
        f"inbox.roots: {folder} does not lie under storage.root, {root}"
        for folder in settings.inbox.roots
        if not folder.is_relative_to(root)
    ]
    inside = {
        "storage.quarantine": settings.quarantine,
        "state.folder": settings.state.folder,
        "state.lease": settings.lease,
    }
    said += [
        f"{key}: {path} must not lie under storage.root, {root}"
        for key, path in inside.items()
        if path.is_relative_to(root)
    ]
    if settings.batches.files > settings.blocks.files:
        said.append(f"batches.files: {settings.batches.files} are more than blocks.files, {settings.blocks.files}")
    if settings.inbox.poll_interval_s > settings.inbox.full_walk_interval_s:
        said.append("inbox.poll_interval_s is longer than inbox.full_walk_interval_s")
    if settings.retries.first_s > settings.retries.cap_s:
        said.append("retries.first_s is longer than retries.cap_s")
    for key in ("warn", "ignore"):
        strange = sorted(set(getattr(settings.checks, key)) - set(CheckPolicy.names()))
        if strange:
            said.append(
                f"checks.{key}: there is no check {', '.join(strange)}; there are {', '.join(CheckPolicy.names())}"
            )
    if both := sorted(set(settings.checks.warn) & set(settings.checks.ignore)):
        said.append(f"checks: {', '.join(both)} cannot both warn and be ignored")
    return said


def restart_needed(old: Settings, new: Settings) -> list[str]:
    """Return the keys that differ and need a restart."""
    return [
        f"{section.name}.{field.name}"
        for section in attrs.fields(Settings)
        for field in attrs.fields(type(getattr(old, section.name)))
        if not field.metadata["reload"]
        and getattr(getattr(old, section.name), field.name) != getattr(getattr(new, section.name), field.name)
    ]


def merge_reloadable(old: Settings, new: Settings) -> Settings:
    """Return `old` with those values of `new` that a running daemon can change."""
    sections = {}
    for section in attrs.fields(Settings):
        was, comes = getattr(old, section.name), getattr(new, section.name)
        keys = [field.name for field in attrs.fields(type(was)) if field.metadata["reload"]]
        sections[section.name] = attrs.evolve(was, **{key: getattr(comes, key) for key in keys})
    return Settings(**sections)
