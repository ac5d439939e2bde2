"""Rucio's own transfertool, in another process like the conveyor, against the transfer service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.embedded.transfers.service import ADLER32, DATA, Service, parts, sparse, url, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVER = """
import json, sys
from rucio.common.types import InternalAccount, InternalScope
from rucio.core.request import DirectTransfer, RequestSource, RequestWithSources, TransferDestination
from rucio.core.rse import RseData
from rucio.db.sqla.constants import RequestState, RequestType
from rucio.transfertool.fts3 import FTS3Transfertool

def rse(name):
    return RseData(name, name=name, attributes={"fts": sys.argv[1]}, info={"rse_type": "DISK"})

class Transfer(DirectTransfer):
    def __init__(self, request_id, sources, url, size, adler32):
        target = rse("TARGET")
        request = RequestWithSources(
            id_=request_id, request_type=RequestType.TRANSFER, rule_id="rule", scope=InternalScope("acada"),
            name="/ctao/" + request_id, md5=None, adler32=adler32, byte_count=size, activity="User Subscriptions",
            attributes=None, previous_attempt_id=None, dest_rse=target, account=InternalAccount("root"), retry_count=0,
            priority=3, transfertool="fts3")
        request.sources = [RequestSource(rse("SOURCE%d" % n), url=source) for n, source in enumerate(sources)]
        super().__init__(sources=request.sources, rws=request)
        self._dst, self._url = TransferDestination(target, "file"), url
    src = property(lambda self: self.sources[0])
    dst = property(lambda self: self._dst)
    dest_url = property(lambda self: self._url)
    def source_url(self, source):
        return source.url
    def dest_protocol(self):
        raise NotImplementedError
    def source_protocol(self, source):
        raise NotImplementedError

def submit(paths):
    paths = [[Transfer(*hop) for hop in path] for path in paths]
    return [tool.submit(job["transfers"], job["job_params"]) for job in tool.group_into_submit_jobs(paths)]

def poll(ids):
    wanted = {eid: {rid: {"external_id": eid, "state": RequestState.SUBMITTED, "bytes": 0, "adler32": "",
        "attributes": {}, "external_host": sys.argv[1]} for rid in rids} for eid, rids in ids.items()}
    answers = {}
    for eid, reports in tool.bulk_query(wanted).items():
        if not isinstance(reports, dict):
            answers[eid] = repr(reports)
            continue
        answers[eid] = {}
        for rid, report in reports.items():
            source = report._src_url
            report._multi_sources = False        # else it looks for the source in a database
            report.initialize(session=None)
            answers[eid][rid] = {"state": report.state and report.state.name, "error": report.err_msg, "source": source,
                "started": str(report.started_at), "ended": str(report.transferred_at)}
    return answers

tool = FTS3Transfertool(sys.argv[1], group_bulk=200, group_policy="src_dest")
for line in sys.stdin:
    name, args, kwargs = json.loads(line)
    function = {"submit": submit, "poll": poll}.get(name) or getattr(tool, name)
    try:
        answer = {"returns": function(*args, **kwargs)}
    except Exception as error:
        answer = {"raises": repr(error)}
    print(json.dumps(answer), flush=True)
"""


class StockTool:
    """Rucio's `FTS3Transfertool` in another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask: IO[str] = process.stdin
        self._answer: IO[str] = process.stdout

    def __call__(self, name: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        self._ask.write(json.dumps([name, args, kwargs]) + "\n")
        self._ask.flush()
        answer = json.loads(self._answer.readline())
        assert "returns" in answer, answer
        return answer["returns"]


@pytest.fixture(scope="module")
def tool(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockTool]:
    folder = tmp_path_factory.mktemp("tool")
    config = folder / "rucio.cfg"
    config.write_text(
        f"[common]\nlogdir = {folder}\nloglevel = ERROR\n"
        f"[database]\ndefault = sqlite:///{folder}/never-opened.db\n"
        "[cache]\nurl = 127.0.0.1:1\n[policy]\npermission = generic\n"
        "[conveyor]\ndefault-source-strategy = orderly\nactivity-source-strategy = {}\n"
        "[transfers]\noverwrite_corrupted_files = False\n"
    )
    environment = {**os.environ, "RUCIO_CONFIG": str(config), "PYTHONWARNINGS": "ignore"}
    with (
        (folder / "driver.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, service.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        ) as process,
    ):
        yield StockTool(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=20) == 0, (folder / "driver.log").read_text()


def poll_to_end(tool: StockTool, job_id: str, *request_ids: str) -> Any:  # noqa: ANN401
    answers: dict[str, Any] = {}

    def ended() -> bool:
        answers.update(tool("poll", {job_id: request_ids})[job_id])
        return set(answers) == set(request_ids) and all(answer["state"] for answer in answers.values())

    wait_until(ended)
    return answers


def test_stock_tool_reads_version_and_vo(tool: StockTool) -> None:
    assert tool("version")["api"]["major"] == 3
    assert tool("whoami")["vos"] == ["ctao"]


def test_stock_tool_submits_and_polls(tool: StockTool, source: Path, tmp_path: Path) -> None:
    good = ["good", [url(source)], url(tmp_path / "pic" / "good"), len(DATA), ADLER32]
    bad = ["bad", [url(source)], url(tmp_path / "pic" / "bad"), len(DATA), "deadbeef"]
    (job_id,) = tool("submit", [[good], [bad]])
    answers = poll_to_end(tool, job_id, "good", "bad")
    assert answers["good"]["state"] == "DONE"
    assert answers["good"]["started"] <= answers["good"]["ended"]
    assert answers["bad"]["state"] == "FAILED"
    assert "SOURCE CHECKSUM MISMATCH" in answers["bad"]["error"]
    assert (tmp_path / "pic" / "good").read_bytes() == DATA
    assert not (tmp_path / "pic" / "bad").exists()
    assert tool("query", [job_id])[0]["job_state"] == "FINISHEDDIRTY"
    assert len(tool("query", [job_id], details=True)) == 2


def test_stock_tool_reports_the_source_that_was_used(tool: StockTool, source: Path, tmp_path: Path) -> None:
    sources = [url(tmp_path / "missing"), url(source), url(source)]
    (job_id,) = tool("submit", [[["several", sources, url(tmp_path / "copy"), len(DATA), ADLER32]]])
    answers = poll_to_end(tool, job_id, "several")
    assert (answers["several"]["state"], answers["several"]["source"]) == ("DONE", url(source))


def test_stock_tool_reports_unused_hops(tool: StockTool, tmp_path: Path) -> None:
    one, two = url(tmp_path / "one"), url(tmp_path / "two")
    hops = [["hop1", [url(tmp_path / "missing")], one, 1, ADLER32], ["hop2", [one], two, 1, ADLER32]]
    (job_id,) = tool("submit", [hops])
    answers = poll_to_end(tool, job_id, "hop1", "hop2")
    assert "SOURCE [2]" in answers["hop1"]["error"]
    assert "Unused hop in multi-hop" in answers["hop2"]["error"]


def test_stock_tool_cancels_and_prioritises(tool: StockTool, tmp_path: Path) -> None:
    big = sparse(tmp_path / "big", 4 << 30)
    (job_id,) = tool("submit", [[["big", [url(big)], url(tmp_path / "copy"), 4 << 30, ADLER32]]])
    assert tool("update_priority", job_id, 5)["priority"] == 5
    assert tool("cancel", [job_id])["job_state"] == "CANCELED"
    assert poll_to_end(tool, job_id, "big")["big"]["state"] == "FAILED"
    wait_until(lambda: not parts(tmp_path))


def test_stock_tool_reports_a_lost_job(tool: StockTool) -> None:
    lost = str(uuid.uuid4())
    assert tool("poll", {lost: ["r"]}) == {lost: "None"}


def test_stock_tool_bans_and_configures(tool: StockTool) -> None:
    other = "davs://storage.example"
    assert tool("set_se_status", other, "downtime") == 0
    assert [ban["se"] for ban in tool("list_se_status")] == [other]
    assert tool("set_se_status", other, "over", ban=False) == 0
    assert tool("list_se_status") == []
    tool("set_se_config", other, inbound_max_active=7)
    tool("set_se_config", other, outbound_max_active=9)
    assert tool("get_se_config", other)["se_info"] == {"inbound_max_active": 7, "outbound_max_active": 9}
