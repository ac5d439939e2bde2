"""The examples of the pages, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctao_bdms.testing.plugin import RucioNamespace

# A Page of conftest; it cannot be imported from there.
Pages = "Mapping[str, Any]"


def test_the_tutorial(pages: Pages, run_python: Callable[[str], str]) -> None:
    cells = pages["docs/tutorials/first-night.md"].examples("{code-cell} python")
    assert len(cells) > 15
    said = run_python("\n".join(cells))
    assert "good 492480" in said
    assert '"kind": "corrupt"' in said
    assert said.endswith("4 files equal the originals\n")


def test_python_in_the_readme_and_the_how_to(pages: Pages, run_python: Callable[[str], str]) -> None:
    start = pages["docs/how-to/run-a-rucio.md"].example("python")
    ingest = pages["docs/how-to/ingest.md"].example("python")
    query = pages["docs/how-to/query-and-get.md"].example("python")
    ingest = ingest.replace('"/storage/ctao/acada/DL0"', 'rucio.storage("CTAO-NORTH-ONSITE")')
    # The second start finds the archive of the first; the other examples assume that they are connected.
    inside = textwrap.indent(f"{ingest}\n{query}\nprint(len(chunks), 'chunk')", "    ")
    said = run_python(f"{pages['README.md'].example('python')}\n{start}\n{inside}")
    assert "<IngestReport: 10 rows>" in said
    assert "<Products: 4 rows>" in said
    assert said.count(" fetched ") == 4
    assert "<Bdms: bdms-ingest at http://127.0.0.1:" in said
    assert said.endswith("0 chunk\n")


def test_the_command_line_in_the_readme(pages: Pages, tmp_path: Path) -> None:
    (script,) = [body for body in pages["README.md"].examples("sh") if "bdms up" in body]
    programs = str(Path(sys.executable).parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BDMS_", "RUCIO_"))}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        left = subprocess.run(
            [Path(programs) / "bdms", "down", "--home", tmp_path / "night" / "rucio"],
            env=environment,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert left.returncode == 1, "bdms down of the README has not stopped it"
    assert "All 22 sound files have verified copies" in done.stdout
    assert "5 of 5 files are in" in done.stdout
    assert "5 of 5 sound" in done.stdout
    assert "nothing to ingest" in done.stdout
    assert "1 of 1 blocks are complete at their centres" in done.stdout


def test_the_example_of_the_fixture(pages: Pages, embedded_rucio: RucioNamespace) -> None:
    names: dict[str, Any] = {}
    exec(pages["docs/how-to/test-against-rucio.md"].example("python"), names)
    names["test_a_night"](embedded_rucio)


def test_what_the_pages_call_the_home_is_there(pages: Pages, embedded_rucio: RucioNamespace) -> None:
    text = pages["docs/reference/configuration.md"].text
    section = text[text.index("## The home of") :]
    named = [name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("`(.*?)`", row)]
    assert len(named) > 10
    home = embedded_rucio.instance.home.path
    for name in named:
        if name != "storage/<RSE>.quarantine":  # only after something was put there
            assert list(home.glob(re.sub("<.*?>", "*", name))), name


def test_there_is_a_shell_to_run_them() -> None:
    assert shutil.which("bash")
