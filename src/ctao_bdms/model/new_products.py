"""The metadata that a user gives for a new product, besides name and content."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidMetadataError, InvalidNameError, UsageError
from ctao_bdms.model.levels import Category, DataLevel
from ctao_bdms.model.metadata import METADATA, ProductMetadata
from ctao_bdms.model.night import Night
from ctao_bdms.model.products import ProductType, Release
from ctao_bdms.model.sites import ArrayElement, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NewProduct"]


#: Each word: the metadata key that it stands for, and how its value is read.
_WORDS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "category": ("instance__category", lambda value: Category(str(value)).value),
    "chunk": ("instance__chunk_id", lambda value: value),
    "level": ("data__level", lambda value: DataLevel(str(value)).value),
    "night": ("instance__observing_night", lambda value: Night.parse(value) if isinstance(value, str) else value),
    "obs_id": ("instance__obs_id", lambda value: value),
    "release": ("curation__release", lambda value: Release(str(value)).text),
    "sb_id": ("acquisition__sb_id", lambda value: value),
    "site": ("instance__site_id", lambda value: Site(str(value)).value),
    "subarray": ("instance__subarray_id", lambda value: value),
    "telescope": ("instance__ae_id", lambda value: ArrayElement.of(value).id),
}


@attrs.frozen(kw_only=True)
class NewProduct:
    """The metadata that a user gives for a new product.

    Attributes
    ----------
    metadata
        What is known of it; with what its name and content say it must be enough to name it by the data model.
    scope
        The scope of what production makes.
    user
        The user in whose own area it goes; empty if it is a product of the observatory.
    folder
        Where in the user's area.

    Examples
    --------
    >>> product = NewProduct.of(kind="DL1/Event/Telescope/AirShower", release="DataPipe/Observation/DR1", telescope=1)
    >>> product.metadata["data__type"], product.metadata["instance__ae_id"]
    ('AirShower', 1)
    """

    metadata: ProductMetadata = attrs.field(factory=lambda: ProductMetadata({}))
    scope: str = "dpps"
    user: str = ""
    folder: str = ""

    @classmethod
    def of(cls, *, scope: str = "dpps", user: str = "", folder: str = "", **words: object) -> NewProduct:
        """Return the product of which this is said.

        Parameters
        ----------
        scope, user, folder
            As of the class.
        **words
            ``kind`` (level/division/association/type), ``level``, ``category``, ``release``, ``night``, ``site``,
            ``telescope``, ``subarray``, ``obs_id``, ``sb_id``, ``chunk``, or any key of the metadata table.

        Raises
        ------
        InvalidMetadataError
            If there is no such word, or a value does not fit it.
        UsageError
            If a folder is given and no user.
        """
        return cls.from_words(words, scope=scope, user=user, folder=folder)

    @classmethod
    def from_words(
        cls, words: Mapping[str, object], *, scope: str = "dpps", user: str = "", folder: str = ""
    ) -> NewProduct:
        """Return the product of which words of people say this; as `of`, which takes them as arguments.

        Raises
        ------
        InvalidMetadataError, UsageError
            As of `of`.
        """
        if folder and not user:
            raise UsageError("the data model says where products of the observatory go; a folder is for users' own")
        values: dict[str, object] = {}
        for word, value in words.items():
            if value is None or value == "":
                continue
            try:
                values.update(_values(word, value))
            except (InvalidNameError, ValueError) as error:
                if isinstance(error, InvalidMetadataError):
                    raise
                raise InvalidMetadataError(word, str(error)) from error
        return cls(metadata=ProductMetadata(values), scope=scope, user=user, folder=folder.strip("/"))


def _values(word: str, value: object) -> dict[str, object]:
    """Return the metadata that a word stands for."""
    if word == "kind":
        kind = value if isinstance(value, ProductType) else ProductType.parse(str(value))
        parts = {"level": kind.level, "division": kind.division, "association": kind.association, "type": kind.type}
        return {f"data__{part}": each.value for part, each in parts.items()}
    if word in _WORDS:
        key, read = _WORDS[word]
        return {key: read(value)}
    if word not in METADATA:
        near = difflib.get_close_matches(word, ["kind", *_WORDS, *METADATA], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidMetadataError(
            word, f"no such word; {hint}known are kind, {', '.join(_WORDS)}, and the keys of the metadata table"
        )
    return {word: value}
