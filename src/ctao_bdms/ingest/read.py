"""Reading files: each once, several at a time."""

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
    """Read and describe `files`, in their order, and compare them with what their producers say of them.

    Parameters
    ----------
    files
        The files; what already stands against one keeps it from being read.
    policy
        How strictly name and content are compared; by default every disagreement is an error.
    sidecars
        Whether what producers say beside their files is compared.
    jobs
        How many are read at once.
    on_scanned, on_bytes
        Called after each file, and after each piece of one.
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
