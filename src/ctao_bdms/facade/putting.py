"""How products of jobs and users enter the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctao_bdms import upload
from ctao_bdms.errors import UsageError
from ctao_bdms.facade.connected import DEFAULT_VO, Connected
from ctao_bdms.model import NewProduct, RetentionClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.ingest import BlockLimits, CheckPolicy, Outcome

__all__ = ["Putting", "Storage"]

#: How long a product is kept: for a while, or for ever.
Storage = Literal["short-term", "archive"]
_CLASSES: dict[Storage, RetentionClass] = {
    "short-term": RetentionClass.SHORT_TERM,
    "archive": RetentionClass.PERMANENT,
}


class Putting(Connected):
    """How products of jobs and users enter the archive."""

    def put(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        product: NewProduct | None = None,
        storage: Storage | None = None,
        rse: str = "",
        near: str = "",
        jobs: int = 4,
        limits: BlockLimits | None = None,
        checks: CheckPolicy = upload.LENIENT,
        on_read: Callable[[int], None] = lambda _: None,
        on_uploaded: Callable[[int], None] = lambda _: None,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> upload.PutReport:
        """Check products, upload and register them, and ask for their copies.

        The data model names them. A file that is bad, or not what is said of it, is not uploaded and never stops the
        others. To call it again is safe: what is done already is not done twice.

        Parameters
        ----------
        paths
            Files, or folders that are put with everything in them.
        product
            What is said of all of them beside what their names and contents say; by default nothing.
        storage
            For how long they are kept; by default as the policy says.
        rse, near
            The storage element, or the centre or region, where they are uploaded; by default the one that keeps the
            data of their night.
        jobs
            How many files are read and uploaded at once.
        limits
            How large a block may become.
        checks
            How serious it is where name, content and what is said disagree.
        on_read, on_uploaded, on_outcome
            Called after each piece that was read, after each that was uploaded, and when it is known what became of a
            file.

        Returns
        -------
        ctao_bdms.upload.PutReport
            What became of each file.

        Raises
        ------
        UsageError
            If there is no such file, or no storage element takes them.
        QuotaError
            If a user's files are more than the account may keep.
        """
        said = product or NewProduct()
        if said.user and storage == "archive":
            raise UsageError("what lies in a user's own area is kept for a while only; leave out storage=archive")
        retention = None if storage is None or said.user else _CLASSES[storage]
        given = [Path(path).absolute() for path in ([paths] if isinstance(paths, Path | str) else paths)]
        items = upload.read_products(
            upload.find_files(given), said, vo=DEFAULT_VO, policy=checks, jobs=jobs, on_bytes=on_read
        )
        put = upload.Put(
            catalogue=self.catalogue,
            policy=self.policy,
            now=self.now,
            retention=retention,
            rse=rse,
            near=near,
            jobs=jobs,
            on_uploaded=on_uploaded,
            on_outcome=on_outcome,
            **({} if limits is None else {"limits": limits}),
        )
        return put.run(items)
