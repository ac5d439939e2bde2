"""An archive that is shared by processes and threads, and answers that do not come from Rucio."""

from __future__ import annotations

import http.client
import http.server
import logging
import multiprocessing
import pickle
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import READER
from ctao_bdms.errors import CatalogueError, NotFoundError, UnreachableError
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE, block_of, registration
from ctao_bdms.testing.plugin import new_namespace
from tests.contract.test_stock_metadata import _changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctao_bdms.embedded import Instance

# From Python 3.12 on a fork of a process with threads is warned of, rightly; users do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

#: Enough that an answer comes in several pages and in many pieces.
FILES = 2500
FORK, SPAWN = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")


def names(bdms: Bdms, scope: str) -> tuple[list[str], list[str]]:
    """Return the names of all products of a scope, and the slow requests that this took: of metadata by names."""
    asked: list[str] = []
    bdms.catalogue.count_requests(lambda response: asked.append(response.request.path_url))  # type: ignore[attr-defined]
    found = [str(product.lfn) for product in bdms.query(scope=scope)]
    return found, [path for path in asked if "bulkmeta" in path]


def tell(answers: Any, bdms: Bdms, scope: str) -> None:  # noqa: ANN401
    try:
        answers.put(names(bdms, scope))
    except Exception as error:  # noqa: BLE001 - the parent shows it
        answers.put(f"{type(error).__name__}: {error}")


@pytest.fixture(scope="module")
def scope(embedded_rucio_instance: Instance) -> Iterator[tuple[str, list[str]]]:
    """A scope with many files, and their names in order."""
    with new_namespace(embedded_rucio_instance) as namespace:
        files = [registration(namespace.scope, number) for number in range(FILES)]
        block = block_of(namespace.scope)
        namespace.catalogue.ensure_directories(file.lfn for file in files)
        namespace.catalogue.open_block(block)
        for start in range(0, FILES, 500):
            namespace.catalogue.register(block, ONSITE, files[start : start + 500])
        yield namespace.scope, sorted(str(file.lfn) for file in files)


@pytest.fixture
def bdms(embedded_rucio_instance: Instance) -> Bdms:
    return Bdms(RucioCatalogue.connect(embedded_rucio_instance.client_config(READER)), policy=Policy.load())


def test_forked_children_get_the_right_rows_by_the_fast_path(bdms: Bdms, scope: tuple[str, list[str]]) -> None:
    """Forty children that ask at once over one connection: seven in ten runs some of them got an error before."""
    right = names(bdms, scope[0])
    assert right == (scope[1], [])
    seen = []
    for _ in range(10):
        answers = FORK.Queue()
        children = [FORK.Process(target=tell, args=(answers, bdms, scope[0])) for _ in range(4)]
        for child in children:
            child.start()
        seen += [answers.get(timeout=120) for _ in children]
        for child in children:
            child.join(30)
    wrong = [answer if isinstance(answer, str) else (len(answer[0]), answer[1]) for answer in seen if answer != right]
    assert not wrong
    assert names(bdms, scope[0])[0] == scope[1]


def test_spawned_children_get_the_archive_in_a_pickle(bdms: Bdms, scope: tuple[str, list[str]]) -> None:
    answers = SPAWN.Queue()
    child = SPAWN.Process(target=tell, args=(answers, bdms, scope[0]))
    child.start()
    assert answers.get(timeout=120) == (scope[1], [])
    child.join(30)


def test_a_worker_of_dask_gets_the_archive_in_a_pickle(bdms: Bdms, scope: tuple[str, list[str]]) -> None:
    distributed = pytest.importorskip("distributed")
    cloudpickle = pytest.importorskip("cloudpickle")
    assert distributed
    copy = cloudpickle.loads(cloudpickle.dumps(bdms))
    assert copy.count(scope=scope[0]) == FILES


def test_threads_share_an_archive(bdms: Bdms, scope: tuple[str, list[str]]) -> None:
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: [str(product.lfn) for product in bdms.query(scope=scope[0])], range(24)))
    assert all(found == scope[1] for found in seen)


def test_threads_of_forked_children_share_their_archive(bdms: Bdms, scope: tuple[str, list[str]]) -> None:
    """Threads of the parent go on to ask while it forks, and hold whatever locks there are."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            assert bdms.count(scope=scope[0]) == FILES
            RucioCatalogue.connect(bdms.catalogue._login.config)  # type: ignore[attr-defined]

    def count() -> list[int]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda _: bdms.count(scope=scope[0]), range(8)))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            for _ in range(5):
                answers = FORK.SimpleQueue()
                child = FORK.Process(target=lambda answers=answers: answers.put(count()))
                child.start()
                child.join(60)
                assert child.exitcode == 0
                assert answers.get() == [FILES] * 8
        finally:
            stop.set()
    for each in asking:
        each.result()


def test_a_pickle_holds_no_secret(embedded_rucio_instance: Instance) -> None:
    config = embedded_rucio_instance.client_config(READER)
    bdms = Bdms(RucioCatalogue.connect(config), policy=Policy.load())
    assert bdms.query(level="DL0", limit=1) is not None
    client = bdms.catalogue.client  # type: ignore[attr-defined]
    data = pickle.dumps(bdms)
    assert client.creds["password"].encode() not in data
    assert client.auth_token.encode() not in data
    assert config.name.encode() in data
    assert pickle.loads(data).catalogue.client.account == READER


def test_two_archives_stay_apart_in_the_child_of_a_fork(embedded_rucio_instance: Instance) -> None:
    both = [RucioCatalogue.connect(embedded_rucio_instance.client_config(*of)) for of in ((READER,), ())]
    answers = FORK.SimpleQueue()
    child = FORK.Process(target=lambda: answers.put([each.client.whoami()["account"] for each in both]))
    child.start()
    child.join(60)
    assert answers.get() == [each.client.whoami()["account"] for each in both]


def test_a_configuration_that_is_not_where_the_pickle_goes_is_named(
    embedded_rucio_instance: Instance, tmp_path: Path
) -> None:
    config = _changed(embedded_rucio_instance.client_config(READER), tmp_path / "rucio.cfg", {})
    data = pickle.dumps(Bdms(RucioCatalogue.connect(config), policy=Policy.load()))
    config.unlink()
    with pytest.raises(NotFoundError, match=r"rucio\.cfg"):
        pickle.loads(data).count(level="DL0")


# Answers that do not come from Rucio


@attrs.frozen
class Answer:
    """What stands before the server says of itself."""

    status: int
    content_type: str
    body: bytes


class Front(http.server.ThreadingHTTPServer):
    """Passes requests on to a Rucio server, and answers searches by itself while `instead` says what."""

    daemon_threads = True

    def __init__(self, server: str) -> None:
        self.host = urlsplit(server).netloc
        self.instead: Answer | None = None
        super().__init__(("127.0.0.1", 0), _Pass)


class _Pass(http.server.BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.instead if "/dids/search?" in self.path else None
        if answer is None:
            connection = http.client.HTTPConnection(self.server.host, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            said = connection.getresponse()
            headers = [(name, text) for name, text in said.getheaders() if name.lower() not in _HOPS]
            status, body = said.status, said.read()
            connection.close()
        else:
            status, headers, body = answer.status, [("Content-Type", answer.content_type)], answer.body
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - the standard library calls them so


_HOPS = {"connection", "content-length", "date", "server", "transfer-encoding"}


@pytest.fixture(scope="module")
def front(
    embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Front, Callable[[], Bdms]]]:
    config = embedded_rucio_instance.client_config(READER)
    server = Front(RucioCatalogue.connect(config).client.host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    folder, url = tmp_path_factory.mktemp("front"), f"http://127.0.0.1:{server.server_address[1]}"
    changes = {"client": {"rucio_host": url, "auth_host": url, "auth_token_file_path": str(folder / "token")}}
    own = _changed(config, folder / "rucio.cfg", changes)
    try:
        yield server, lambda: Bdms(RucioCatalogue.connect(own), policy=Policy.load())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


STREAM = "application/x-json-stream"


@pytest.mark.parametrize("is_known", [True, False], ids=["plugin seen", "first question"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, "text/html", b"<h1>Internal Server Error</h1>"),
        Answer(503, "text/html", b"<h1>Service Unavailable</h1>"),
        Answer(200, STREAM, b'{"bdms": "pa'),
        Answer(200, STREAM, b'{"bdms": "page"}\n{"scope": "acada", "na'),
        Answer(200, STREAM, b'{"bdms": "page"}{"scope": "acada"}\n'),
    ],
    ids=["proxy fails", "no server", "cut at once", "cut later", "two lines in one"],
)
def test_an_answer_that_is_not_rucios_is_an_error_and_no_reason_for_the_slow_path(
    front: tuple[Front, Callable[[], Bdms]],
    scope: tuple[str, list[str]],
    answer: Answer,
    is_known: bool,
) -> None:
    server, connect = front
    bdms = connect()
    if is_known:
        assert bdms.count(scope=scope[0]) == FILES
    server.instead = answer
    try:
        for _ in range(2):
            with pytest.raises(UnreachableError):
                names(bdms, scope[0])
    finally:
        server.instead = None
    assert names(bdms, scope[0]) == (scope[1], [])


def test_rows_of_another_kind_of_server_are_no_answer_of_one_that_has_the_plugin(
    front: tuple[Front, Callable[[], Bdms]], scope: tuple[str, list[str]]
) -> None:
    server, connect = front
    bdms = connect()
    assert bdms.count(scope=scope[0]) == FILES
    server.instead = Answer(200, STREAM, b'{"scope": "other", "name": "/ctao/other/file"}\n')
    try:
        with pytest.raises(UnreachableError, match="another server"):
            names(bdms, scope[0])
    finally:
        server.instead = None


def test_a_server_that_fails_over_the_first_question_is_asked_in_other_words_and_a_warning_says_so(
    front: tuple[Front, Callable[[], Bdms]], scope: tuple[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    server, connect = front
    bdms = connect()
    server.instead = Answer(500, "application/json", b'{"ExceptionClass": "TypeError", "ExceptionMessage": "no"}')
    try:
        with caplog.at_level(logging.WARNING), pytest.raises(CatalogueError, match="TypeError"):
            names(bdms, scope[0])
    finally:
        server.instead = None
    assert Counter(record.levelname for record in caplog.records)["WARNING"] == 1
