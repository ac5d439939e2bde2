"""Jobs and their files on disk; every step of the state machine is one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.embedded.transfers.jobs import (
    Checksum,
    FileState,
    JobState,
    JobType,
    NewJob,
    Order,
    Verify,
    final_state,
    first_states,
    next_file,
)
from ctao_bdms.embedded.transfers.refusals import DuplicateJobError
from ctao_bdms.embedded.transfers.urls import storage_of

if TYPE_CHECKING:
    import sqlite3

    from ctao_bdms.embedded.transfers.database import Database

__all__ = ["CANCELED_REASON", "Store", "Task"]

CANCELED_REASON = "Job canceled by the user"
_FAILED_REASON = "One or more files failed. Please have a look at the details for more information"

# Skips files whose destination is being written by another job, and files of banned storages.
_CLAIM = """
update files set state = 'ACTIVE', started = ?, attempts = attempts + 1 where id = (
    select id from files f where state = 'SUBMITTED'
    and not exists (select 1 from files where state = 'ACTIVE' and destination = f.destination)
    and not exists (select 1 from banned where se in (f.source_se, f.dest_se))
    order by priority desc, id limit 1
) returning *
"""


@attrs.frozen
class Task:
    """A copy that a worker has claimed."""

    file_id: int
    job_id: str
    order: Order


class Store:
    """The jobs in a database. All times are seconds since 1970, UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: NewJob, now: float) -> None:
        """Store a new job.

        Raises
        ------
        DuplicateJobError
            If a job with that identifier exists.
        """
        with self._database.writing():
            if self.job(job.id):
                raise DuplicateJobError(job.id)
            self._database.execute(
                "insert into jobs (id, type, state, priority, metadata, params, submitted)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.type, JobState.SUBMITTED, job.priority, job.metadata, job.params, now),
            )
            self._database.execute_many(
                "insert into files (job_id, place, state, priority, source, destination, source_se, dest_se,"
                " size_bytes, algorithm, digest, verify, overwrite, metadata)"
                f" values ({', '.join('?' * 14)})",
                [
                    (
                        job.id,
                        place,
                        state,
                        job.priority,
                        file.source,
                        file.destination,
                        storage_of(file.source),
                        storage_of(file.destination),
                        file.size_bytes,
                        file.checksum and file.checksum.algorithm,
                        file.checksum and file.checksum.value,
                        file.verify,
                        file.overwrite,
                        file.metadata,
                    )
                    for place, (file, state) in enumerate(
                        zip(job.files, first_states(job.type, len(job.files)), strict=True)
                    )
                ],
            )

    def claim(self, now: float) -> Task | None:
        """Claim the next file in the queue, if there is one."""
        with self._database.writing():
            rows = self._database.execute(_CLAIM, (now,))
            if not rows:
                return None
            self._database.execute(
                "update jobs set state = 'ACTIVE' where id = ? and state = 'SUBMITTED'", (rows[0]["job_id"],)
            )
        return _task(rows[0])

    def finish(self, task: Task, now: float, *, moved_bytes: int | None = None, reason: str = "") -> bool:
        """Record the end of a copy (a success if `reason` is empty), and update its job.

        Returns False if the job was cancelled in the meantime.
        """
        state = FileState.FAILED if reason else FileState.FINISHED
        with self._database.writing():
            if not self._database.changes(
                "update files set state = ?, reason = ?, moved_bytes = ?, finished = ?"
                " where id = ? and state = 'ACTIVE'",
                (state, reason, moved_bytes, now, task.file_id),
            ):
                return False
            if self._database.execute(
                "select 1 from files where job_id = ? and state in ('SUBMITTED', 'ACTIVE') limit 1", (task.job_id,)
            ):
                return True
            files = self.files(task.job_id)
            (job,) = self._database.execute("select type from jobs where id = ?", (task.job_id,))
            states = [FileState(file["state"]) for file in files]
            turn = next_file(JobType(job["type"]), states)
            if turn is None:
                end = final_state(JobType(job["type"]), states)
                self._end(task.job_id, end, "" if end is JobState.FINISHED else _FAILED_REASON, now)
            else:
                self._database.execute("update files set state = 'SUBMITTED' where id = ?", (files[turn]["id"],))
        return True

    def cancel(self, job_id: str, now: float) -> list[int] | None:
        """Cancel the files of a job that have not ended; return those being copied, None if the job has ended."""
        with self._database.writing():
            job = self.job(job_id)
            if job is None or JobState(job["state"]).is_final:
                return None
            rows = self._database.execute("select id from files where job_id = ? and state = 'ACTIVE'", (job_id,))
            self._database.execute(
                "update files set state = 'CANCELED', reason = ?, finished = ?"
                " where job_id = ? and state in ('SUBMITTED', 'ACTIVE')",
                (CANCELED_REASON, now, job_id),
            )
            self._end(job_id, JobState.CANCELED, CANCELED_REASON, now)
        return [row["id"] for row in rows]

    def set_priority(self, job_id: str, priority: int) -> None:
        """Set the priority of a job and its files."""
        with self._database.writing():
            self._database.execute("update jobs set priority = ? where id = ?", (priority, job_id))
            self._database.execute("update files set priority = ? where job_id = ?", (priority, job_id))

    def job(self, job_id: str) -> sqlite3.Row | None:
        """Return a job."""
        rows = self._database.execute("select * from jobs where id = ?", (job_id,))
        return rows[0] if rows else None

    def files(self, job_id: str) -> list[sqlite3.Row]:
        """Return the files of a job in their order."""
        return self._database.execute("select * from files where job_id = ? order by place", (job_id,))

    def unfinished_with(self, storage: str) -> list[str]:
        """Return the jobs with copies from or to a storage element that have not ended."""
        rows = self._database.execute(
            "select distinct job_id from files where state in ('SUBMITTED', 'ACTIVE') and ? in (source_se, dest_se)",
            (storage,),
        )
        return [row["job_id"] for row in rows]

    def recover(self) -> list[Order]:
        """Queue the files again that were being copied when the service ended.

        Returns the orders that may have left a temporary file: those of active and of cancelled copies.
        """
        with self._database.writing():
            rows = self._database.execute(
                "select * from files where state in ('ACTIVE', 'CANCELED') and started is not null"
            )
            self._database.execute("update files set state = 'SUBMITTED' where state = 'ACTIVE'")
        return [_task(row).order for row in rows]

    def leave(self, task: Task, now: float) -> None:
        """Record that the temporary file of a copy could not be removed, for as long as its job is kept."""
        with self._database.writing():
            self._database.execute(
                "insert or replace into leftovers select id, ? from files where id = ?", (now, task.file_id)
            )

    def leftovers(self, limit: int) -> list[Task]:
        """Return copies whose temporary files could not be removed, the least recently tried first."""
        rows = self._database.execute(
            "select files.* from files join leftovers on file_id = id order by tried, id limit ?", (limit,)
        )
        return [_task(row) for row in rows]

    def tidied(self, task: Task) -> None:
        """Record that the temporary file of a copy is removed."""
        with self._database.writing():
            self._database.execute("delete from leftovers where file_id = ?", (task.file_id,))

    def prune(self, before: float) -> int:
        """Delete the jobs that ended before a time; return how many."""
        with self._database.writing():
            return self._database.changes("delete from jobs where finished < ?", (before,))

    def _end(self, job_id: str, state: JobState, reason: str, now: float) -> None:
        """Record the end of a job."""
        self._database.execute(
            "update jobs set state = ?, reason = ?, finished = ? where id = ?", (state, reason, now, job_id)
        )


def _task(row: sqlite3.Row) -> Task:
    """Return the copy for a row of `files`."""
    return Task(
        row["id"],
        row["job_id"],
        Order(
            source=row["source"],
            destination=row["destination"],
            part=f".bdms-{row['job_id']}-{row['id']}.part",
            size_bytes=row["size_bytes"],
            checksum=Checksum(row["algorithm"], row["digest"]) if row["algorithm"] else None,
            verify=Verify(row["verify"]),
            overwrite=bool(row["overwrite"]),
            resumed=row["attempts"] > 1,
        ),
    )
