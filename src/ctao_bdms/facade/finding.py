"""How products are found and fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import access
from ctao_bdms.errors import UsageError
from ctao_bdms.facade.connected import Connected, names_of
from ctao_bdms.model import Did, Lfn

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.facade.connected import Names

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

    @property
    def health(self) -> access.Health:
        """Which storage elements have failed of late, as far as this object knows in this process."""
        return self._health.get()

    def locate(self, names: Names, *, near: str = "", protocol: str = "") -> access.Copies:
        """Return the copies of files, of each the best first.

        Parameters
        ----------
        names
            Files; a directory or block stands for all files in it.
        near
            The site, centre or storage element whose copies come first.
        protocol
            Only copies that can be reached by this scheme, e.g. ``root``, with their URLs of that scheme.
        """
        return access.locate(self.catalogue, self.catalogue.rses(), names_of(names), near, protocol)

    def retrieve(
        self,
        names: Names | None = None,
        folder: Path | str = ".",
        *,
        block: Did | Lfn | str = "",
        directory: Lfn | str = "",
        tree: bool = False,
        near: str = "",
        jobs: int = 4,
        on_bytes: Callable[[int], None] | None = None,
        progress: access.Progress | None = None,
        **words: Any,  # noqa: ANN401
    ) -> access.FetchedFiles:
        """Fetch files into `folder`, verified while they are written; see `ctao_bdms.access.retrieve`.

        Parameters
        ----------
        names
            Files, or products that `query` has found; a directory or block stands for all files in it.
        folder
            Where they go.
        block, directory
            Other ways to say a name: all files of a block, all files below a directory.
        tree
            Whether to keep the directories of the names below `folder`.
        near
            The site, centre or storage element whose copies come first.
        jobs
            How many files are fetched at once.
        on_bytes
            Called with the number of bytes after each piece.
        progress
            Is told how far it is, file by file.
        **words
            What to look for, as for `query`, instead of names: ``night="2026-11-21"``.

        Raises
        ------
        UsageError
            If nothing was asked for, or both names and words.
        """
        said = [*names_of(() if names is None else names), *names_of([str(each) for each in (directory,) if each])]
        said += names_of([block.name if isinstance(block, Did) else str(block)] if block else [])
        if words and (said or names is not None):
            raise UsageError("give names or words, not both")
        if not words and not said and names is None:
            raise UsageError("say what to fetch: names, a block, a directory, or words as for a query")
        wanted = names_of(self.query(**words)) if words else said
        return access.retrieve(
            self.catalogue,
            self.catalogue.rses(),
            wanted,
            Path(folder),
            tree=tree,
            near=near,
            jobs=jobs,
            health=self.health,
            progress=progress if on_bytes is None else _Bytes(on_bytes),
        )

    def open(self, lfn: Lfn | str, *, near: str = "", verify: bool = False) -> io.BufferedReader:
        """Open a file for reading where its best copy lies, without keeping it; see `ctao_bdms.access.open_file`.

        Parameters
        ----------
        lfn
            The file.
        near
            The site, centre or storage element whose copies come first.
        verify
            Whether to read it through once first, and compare its digest.
        """
        (name,) = names_of(lfn)
        return access.open_file(
            self.catalogue, self.catalogue.rses(), name, near=near, verify=verify, health=self.health
        )


class _Bytes(access.Progress):
    """Tells a function how many bytes were moved."""

    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self._on_bytes = on_bytes

    def moved(self, lfn: Lfn, count: int) -> None:
        self._on_bytes(count)
