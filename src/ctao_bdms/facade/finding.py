"""How products are found and fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import access
from ctao_bdms.facade.connected import Connected, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.model import Lfn

__all__ = ["Finding"]


class Finding(Connected):
    """How products are found and fetched."""

    def query(
        self,
        *,
        scope: str = "",
        sort: str | Iterable[str] = (),
        limit: int | None = None,
        any_of: Iterable[Mapping[str, object]] = (),
        **words: Any,  # noqa: ANN401
    ) -> access.Products:
        """Return the products that answer a question; they are read, page by page, when they are looked at.

        Parameters
        ----------
        scope
            Where to look; by default in all scopes but the users' own.
        sort
            What they are sorted by, as in ``sort="-start_time"`` or ``sort=["night", "size"]``; by default the name.
        limit
            The most products to return.
        any_of
            Alternatives: groups of words, of which one must hold besides `words`.
        **words
            What to look for: ``level``, ``kind``, ``category``, ``night``, ``site``, ``telescope``, ``subarray``,
            ``obs_id``, ``sb_id``, ``target``, ``release``, ``start_time``, ``end_time``, ``time=(begin, end)``,
            ``near=(ra, dec, radius)`` in degrees, ``copies``, ``latest=True``, or any key of the metadata table; a list
            means any of its values, a `Range` what lies in it; see `ctao_bdms.access.query`.
        """
        return access.query(self.catalogue, self._scopes(scope), words, limit, any_of=any_of, sort=sort, now=self.now)

    def count(self, *, scope: str = "", any_of: Iterable[Mapping[str, object]] = (), **words: Any) -> int:  # noqa: ANN401
        """Return how many products answer a question, without reading them; the words are those of `query`."""
        return access.question(self._scopes(scope), words, any_of=any_of).count(self.catalogue, self.now)

    def _scopes(self, scope: str) -> Sequence[str]:
        """Return where to look."""
        return (scope,) if scope else self.catalogue.scopes()

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
