"""How products are found and fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import access
from ctao_bdms.facade.connected import Connected, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.model import Lfn

__all__ = ["Finding"]


class Finding(Connected):
    """How products are found and fetched."""

    def query(self, *, scope: str = "", limit: int | None = None, **words: Any) -> access.Products:  # noqa: ANN401
        """Return the products that answer a question.

        Parameters
        ----------
        scope
            Where to look; by default in all scopes but the users' own.
        limit
            The most products to return.
        **words
            What to look for: ``level``, ``kind``, ``night``, ``site``, ``telescope``, ``subarray``, ``obs_id``,
            ``sb_id``, ``release``, ``time=(begin, end)``, or any key of the metadata table; a list means any of its
            values; see `ctao_bdms.access.conditions`.
        """
        scopes = (scope,) if scope else self.catalogue.scopes()
        return access.query(self.catalogue, scopes, words, limit)

    def locate(self, lfns: Iterable[Lfn | str] | Lfn | str, *, near: str = "") -> access.Copies:
        """Return the copies of files, of each the best first.

        Parameters
        ----------
        lfns
            The files.
        near
            The site or centre whose copies come first.
        """
        return access.locate(self.catalogue, self.catalogue.rses(), names_of(lfns), near)

    def retrieve(
        self,
        lfns: Iterable[Lfn | str] | Lfn | str,
        folder: Path | str = ".",
        *,
        tree: bool = False,
        near: str = "",
        jobs: int = 4,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> access.FetchedFiles:
        """Fetch files into `folder`, verified while they are written; see `ctao_bdms.access.retrieve`."""
        return access.retrieve(
            self.catalogue,
            self.catalogue.rses(),
            names_of(lfns),
            Path(folder),
            tree=tree,
            near=near,
            jobs=jobs,
            on_bytes=on_bytes,
        )
