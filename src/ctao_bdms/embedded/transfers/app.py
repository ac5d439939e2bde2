"""FTS3's REST interface: Flask routes over the store and the workers."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from ctao_bdms.embedded.transfers.answers import (
    SERVICE,
    USER,
    file_answer,
    fts_time,
    job_answer,
    missing_answer,
    select_fields,
)
from ctao_bdms.embedded.transfers.movers import mover_for
from ctao_bdms.embedded.transfers.refusals import DuplicateJobError, InvalidRequestError
from ctao_bdms.embedded.transfers.submission import VO, parse_priority, parse_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctao_bdms.embedded.transfers.movers import Mover
    from ctao_bdms.embedded.transfers.storages import Storages
    from ctao_bdms.embedded.transfers.store import Store
    from ctao_bdms.embedded.transfers.workers import Workers

    Answer = Response | tuple[Response, int]

__all__ = ["make_app"]

_MAX_BODY_BYTES = 64 << 20
_NOT_MODIFIED = "304 Not Modified"


def make_app(store: Store, storages: Storages, workers: Workers, movers: Mapping[str, Mover]) -> Flask:
    """Return the WSGI application.

    Parameters
    ----------
    movers
        The movers by URL scheme; their schemes are those that are accepted.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    # Against DNS rebinding: a web page cannot reach this service from a browser under a host name of its own.
    app.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost"]
    _add_errors(app)
    _add_jobs(app, store, workers, movers)
    _add_job_changes(app, store, workers)
    _add_storages(app, store, storages, workers)
    app.add_url_rule("/", view_func=lambda: jsonify(SERVICE), endpoint="service")
    app.add_url_rule("/whoami", view_func=lambda: jsonify(USER), endpoint="whoami")
    return app


def _add_errors(app: Flask) -> None:
    """Return errors in FTS3's format: the status and a message."""

    def refuse(error: InvalidRequestError) -> Answer:
        return _error(HTTPStatus.BAD_REQUEST, f"Invalid value within the request: {error}")

    def conflict(error: DuplicateJobError) -> Answer:
        return _error(HTTPStatus.CONFLICT, str(error))

    def no_text(error: UnicodeEncodeError) -> Answer:
        return _error(HTTPStatus.BAD_REQUEST, f"Invalid value within the request: {error.object!r} is not Unicode text")

    def other(error: HTTPException) -> Answer:
        return _error(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR), str(error.description))

    app.register_error_handler(InvalidRequestError, refuse)
    app.register_error_handler(DuplicateJobError, conflict)
    app.register_error_handler(UnicodeEncodeError, no_text)
    app.register_error_handler(HTTPException, other)


def _add_jobs(app: Flask, store: Store, workers: Workers, movers: Mapping[str, Mover]) -> None:
    """Add the routes to submit and read jobs."""

    @app.post("/jobs")
    def submit() -> Answer:
        job = parse_submission(_body(), lambda source, destination: mover_for(movers, source, destination))
        store.add(job, time.time())
        workers.notice(len(job.files))
        return jsonify({"job_id": job.id})

    @app.get("/jobs/<job_ids>")
    def show(job_ids: str) -> Answer:
        wanted = request.args.get("files")

        def answer(job_id: str) -> dict[str, Any] | None:
            job = store.job(job_id)
            if job is None:
                return None
            files = {}
            if wanted:
                every = [file_answer(file, job["state"]) for file in store.files(job_id)]
                files["files"] = select_fields(every, wanted)
            return {**job_answer(job), **files}

        return _for_each(job_ids, answer)

    @app.get("/jobs/<job_id>/files")
    def show_files(job_id: str) -> Answer:
        job = store.job(job_id)
        if job is None:
            return _error(HTTPStatus.NOT_FOUND, missing_answer(job_id)["http_message"])
        return jsonify([file_answer(file, job["state"]) for file in store.files(job_id)])


def _add_job_changes(app: Flask, store: Store, workers: Workers) -> None:
    """Add the routes to cancel and prioritise jobs."""

    @app.delete("/jobs/<job_ids>")
    def cancel(job_ids: str) -> Answer:
        def answer(job_id: str) -> dict[str, Any] | None:
            if store.job(job_id) is None:
                return None
            copying = store.cancel(job_id, time.time())
            workers.abandon(copying or ())
            job = store.job(job_id)
            if job is None:
                return None
            return job_answer(job) | ({"http_status": _NOT_MODIFIED} if copying is None else {})

        return _for_each(job_ids, answer)

    @app.post("/jobs/<job_ids>")
    def change(job_ids: str) -> Answer:
        body = _body()
        params = body.get("params") if isinstance(body, dict) else None
        if not isinstance(params, dict) or set(params) != {"priority"}:
            raise InvalidRequestError('the request must be like {"params": {"priority": 4}}')
        priority = parse_priority(params["priority"])

        def answer(job_id: str) -> dict[str, Any] | None:
            store.set_priority(job_id, priority)
            job = store.job(job_id)
            return None if job is None else job_answer(job)

        return _for_each(job_ids, answer)


def _add_storages(app: Flask, store: Store, storages: Storages, workers: Workers) -> None:
    """Add the routes to ban and configure storage elements."""

    @app.get("/ban/se")
    def banned() -> Answer:
        return jsonify(
            [
                {
                    "se": row["se"],
                    "status": row["status"],
                    "message": row["message"],
                    "addition_time": fts_time(row["since"]),
                    "vo": VO,
                    "admin_dn": USER["user_dn"],
                }
                for row in storages.banned()
            ]
        )

    @app.post("/ban/se")
    def ban() -> Answer:
        name, cancels = storages.ban(_body(), time.time())
        affected = store.unfinished_with(name)
        if cancels:
            for job_id in affected:
                workers.abandon(store.cancel(job_id, time.time()) or ())
        return jsonify(affected)

    @app.delete("/ban/se")
    def lift() -> Answer:
        name = request.args.get("storage")
        if not name:
            raise InvalidRequestError("the storage must be named, as in /ban/se?storage=file://localhost")
        storages.lift(name)
        workers.notice()
        return Response(status=HTTPStatus.NO_CONTENT)

    @app.get("/config/se")
    def configured() -> Answer:
        return jsonify(storages.configured())

    @app.post("/config/se")
    def configure() -> Answer:
        return jsonify(storages.configure(_body()))


def _for_each(job_ids: str, answer: Callable[[str], dict[str, Any] | None]) -> Answer:
    """Return an object for one job, a list for several; status 207 if only some of them exist."""
    wanted = [job_id for job_id in job_ids.split(",") if job_id]
    answers = [(answer(job_id), missing_answer(job_id)) for job_id in wanted]
    found = sum(known is not None for known, _ in answers)
    bodies = [known or missing for known, missing in answers]
    if len(bodies) == 1:
        return jsonify(bodies[0]), HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
    status = HTTPStatus.OK if found == len(bodies) else HTTPStatus.MULTI_STATUS if found else HTTPStatus.NOT_FOUND
    return jsonify(bodies), status


def _body() -> Any:  # noqa: ANN401 - JSON
    """Return the JSON body of the request."""
    if not request.is_json:
        raise InvalidRequestError("the header Content-Type must be application/json")
    try:
        return request.get_json()
    except RecursionError as error:
        raise InvalidRequestError("the JSON is nested too deeply") from error


def _error(status: HTTPStatus, message: str) -> Answer:
    """Return an error in FTS3's format."""
    return jsonify({"status": f"{status.value} {status.phrase}", "message": message}), status
