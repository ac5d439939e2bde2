"""The files of a deployment, held against the programs that will read them and the metrics that there are."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.debian import demand

from ctao_bdms.cli.app import app
from ctao_bdms.daemon.config.example import example
from ctao_bdms.daemon.deploy import FILES, deployed, unit
from ctao_bdms.daemon.face.metrics import Metrics
from ctao_bdms.errors import UsageError

RULE_TESTS = Path(__file__).parent / "data" / "alerts_test.yml"


@pytest.fixture(scope="module")
def shown() -> set[str]:
    """Return the names of all samples that the exporter shows."""
    metrics = Metrics(states=["found"], causes=["catalogue"])
    metrics.space(journal_bytes=1, free_bytes={"storage": 1}, low_disk_bytes=1)
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {sample.name for family in families for sample in family.samples}


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    demand("prometheus", there=shutil.which("promtool") is not None)
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def named(text: str) -> set[str]:
    return set(re.findall(r"\b(?:bdms_ingestd|process)_\w+", text))


def expressions() -> list[str]:
    panels = json.loads(deployed("dashboard"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_metric_of_the_alerts_is_shown(shown: set[str]) -> None:
    rules = "\n".join(line for line in deployed("alerts").splitlines() if not line.strip().startswith("#"))
    assert len(named(rules)) > 8
    assert named(rules) - shown == set()


def test_every_metric_of_the_dashboard_is_shown_and_the_reverse(shown: set[str]) -> None:
    used = named("\n".join(expressions()))
    assert used - shown == set()
    families = {re.sub("_(bucket|sum|count|created)$", "", name) for name in shown if name.startswith("bdms_")}
    families = {f"{name}_total" if f"{name}_total" in shown else name for name in families}
    assert families - {re.sub("_(bucket|sum|count)$", "", name) for name in used} == set()


def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    plain = [re.sub(r"\$__\w+", "5m", expression).replace("$instance", ".*") for expression in expressions()]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(plain)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", "rules.yml", folder=tmp_path)
    assert (done.returncode, f"{len(rules)} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads(deployed("dashboard"))["panels"]
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] for panel in panels)


def test_promtool_takes_the_alerts_and_their_tests(tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(deployed("alerts"))
    shutil.copy(RULE_TESTS, tmp_path / "tests.yml")
    done = promtool("check", "rules", "alerts.yml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    done = promtool("test", "rules", "tests.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_is_wrong_is_found_by_its_tests(tmp_path: Path) -> None:
    rules = deployed("alerts").replace("bdms_ingestd_circuit_open == 1", "bdms_ingestd_circuit_open == 2")
    (tmp_path / "alerts.yml").write_text(rules)
    shutil.copy(RULE_TESTS, tmp_path / "tests.yml")
    assert promtool("test", "rules", "tests.yml", folder=tmp_path).returncode != 0


def test_every_alert_is_tested_both_ways() -> None:
    alerts = re.findall(r"- alert: (\w+)", deployed("alerts"))
    tested = RULE_TESTS.read_text()
    assert len(alerts) == len(set(alerts)) > 10
    for alert in alerts:
        assert re.search(rf"alertname: {alert}}}", tested), f"{alert} is never expected to be silent"
        assert re.search(rf"alertname: {alert}\n +exp_alerts:", tested), f"{alert} is never expected to speak"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = unit(tmp_path / "ingestd.toml")
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(text)
    service = dict(parser["Service"])
    program = Path(sys.executable).with_name("bdms")
    assert service["ExecStart"] == f"{program} ingestd --config {tmp_path / 'ingestd.toml'}"
    assert program.is_file()
    wanted = {
        "Type": "notify",
        "Restart": "always",
        "KillMode": "mixed",
        "OOMPolicy": "continue",
        "ProtectSystem": "full",
    }
    assert {key: service[key] for key in wanted} == wanted
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    if shutil.which("systemd-analyze"):
        path = tmp_path / FILES["unit"]
        path.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_container_starts_the_daemon() -> None:
    text = deployed("container")
    commands = {line.split()[0] for line in text.splitlines() if re.match("[A-Z]", line)}
    assert {
        "FROM",
        "COPY",
        "RUN",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    } <= commands
    assert 'ENTRYPOINT ["bdms", "ingestd"]' in text
    assert "ctao-bdms[daemon]" in text
    health = json.loads(re.search(r"CMD (\[\"python\".*\])", text)[1])  # type: ignore[index]
    compile(health[-1], "HEALTHCHECK", "exec")


def test_all_files_are_shipped_and_none_else() -> None:
    folder = Path(sys.modules["ctao_bdms.daemon.deploy"].__file__ or "").parent
    there = {path.name for path in folder.iterdir() if path.suffix != ".py" and path.is_file()}
    assert there == set(FILES.values())


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "ingestd.toml"
    wanted = {name: deployed(name) for name in FILES} | {"example": example(), "unit": unit(config)}
    for name, text in wanted.items():
        assert app(["ingestd", "--print", name, "--config", str(config)], result_action="return_value") == 0
        assert capsys.readouterr().out == text


@pytest.mark.parametrize("arguments", [["--check", "--set", "workers.number"], ["--check", "--set", "workers.numbr=1"]])
def test_a_flag_that_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match=r"expected SECTION.KEY=VALUE|nearest known one is workers.number"):
        app(["ingestd", *arguments], exit_on_error=False, result_action="return_value")
