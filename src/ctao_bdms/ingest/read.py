"""Read and describe files, several at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ctao_bdms.ingest.checks import CheckPolicy
from ctao_bdms.ingest.describe import Described, describe
from ctao_bdms.ingest.sidecar import Statement, read_statement
from ctao_bdms.integrity import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctao_bdms.inbox import LocalFile
    from ctao_bdms.model import FileFacts

__all__ = ["read_all"]


def read_all(
    files: Sequence[LocalFile],
    policy: CheckPolicy | None = None,
    *,
    sidecars: bool = True,
    jobs: int = 2,
    on_scanned: Callable[[LocalFile, FileFacts | None], None] = lambda _file, _facts: None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> list[Described]:
    """Read and describe `files`, in order, and compare their sidecar files.

    Parameters
    ----------
    files
        The files; one that has defects already is not read.
    policy
        The severity of each check; by default every failed check is an error.
    jobs
        Number of files that are read at the same time.
    on_scanned, on_bytes
        Called after each file, and after each piece of a file with its size.
    """

    def read(file: LocalFile) -> Described:
        if file.defects:
            on_scanned(file, None)
            return describe(file, None, policy or CheckPolicy())
        said = read_statement(file.path, file.trigger) if sidecars else Statement()
        facts = scan(file.path, algorithms=said.algorithms, on_bytes=on_bytes)
        on_scanned(file, facts)
        return describe(file, facts, policy or CheckPolicy(), said)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(read, files))
