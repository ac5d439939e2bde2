"""Check metadata values: keys of the data model by type, free keys as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rucio.common.exception import InvalidMetadata

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import METADATA, ValueType, metadata_key
from ctao_bdms.server.schema import MAX_INDEXED_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.model import Value

__all__ = ["checked", "is_free"]

#: The maximum length of a free key, in characters.
_MAX_KEY_LENGTH = 100


def is_free(key: str) -> bool:
    """Return whether `key` is not in the data model."""
    return key not in METADATA


def checked(key: str, value: object) -> Value | object:
    """Return `value` as stored: in the type of its key, or unchanged for a free key.

    Raises
    ------
    InvalidMetadata
        If a free key is invalid, or the value does not fit its key.
    """
    if is_free(key):
        return _free(key, value)
    row = metadata_key(key)
    try:
        parsed = row.parse(value)
    except InvalidMetadataError as error:
        raise InvalidMetadata(str(error)) from error
    if isinstance(parsed, str):
        _require_text(key, parsed)
        if row.indexed and row.type is ValueType.STR and len(parsed) > MAX_INDEXED_LENGTH:
            msg = f"metadata {key!r}: {len(parsed)} characters; the maximum is {MAX_INDEXED_LENGTH}"
            raise InvalidMetadata(msg)
    return parsed


def _free(key: str, value: object) -> object:
    """Return the value of a free key if both can be stored as JSON."""
    _require_text(key, key)
    if not 0 < len(key) <= _MAX_KEY_LENGTH or "." in key:
        msg = f"metadata {key!r}: a free key has 1 to {_MAX_KEY_LENGTH} characters and no '.'"
        raise InvalidMetadata(msg)
    if value is None:
        msg = f"metadata {key!r}: None is not a value; leave out the key"
        raise InvalidMetadata(msg)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"metadata {key!r}: the value cannot be stored as JSON: {error}"
        raise InvalidMetadata(msg) from error
    for text in _texts(value):
        _require_text(key, text)
    return value


def _texts(value: object) -> Iterator[str]:
    """Yield all texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _require_text(key: str, text: str) -> None:
    """Reject characters that PostgreSQL cannot store: NUL, and unpaired surrogates, which JSON allows."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        msg = f"metadata {key!r}: {text!r} contains NUL or unpaired surrogates, which cannot be stored"
        raise InvalidMetadata(msg)
