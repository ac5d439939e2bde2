"""The documentation, held against the code: its examples are run as they stand, and what it says is looked up."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctao_bdms.testing.plugin import RucioNamespace

TREE = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Page:
    """A page of the documentation."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(TREE))

    def examples(self, language: str) -> list[str]:
        return [match["body"] for match in FENCE.finditer(self.text) if match["language"] == language]

    def example(self, language: str) -> str:
        """Return the one example in that language that has more than two lines."""
        (body,) = [body for body in self.examples(language) if body.count("\n") > 2]
        return body


@pytest.fixture(scope="session")
def pages() -> dict[str, Page]:
    """Return all pages by their names below the checkout."""
    paths = [*TREE.glob("*.md"), *TREE.glob("changes/*.md")]
    paths += [path for path in TREE.glob("docs/**/*.md") if "_build" not in path.parts]
    found = [Page(path, path.read_text(encoding="utf-8")) for path in sorted(paths)]
    return {page.name: page for page in found}


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[[str], str]:
    """Run a program in an empty folder, warnings as errors; return what it prints."""

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-"],
            input=program,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("first-night", ["good 492480", '"kind": "corrupt"', "4 files equal the originals\n"]),
        ("find-and-fetch", ["did you mean 'telescope'?", "CSCS-DISK\nPIC-DISK bad\n", "7 files equal the"]),
        ("pipeline", ["known\nrefused\nconflict: ", "fetched from CSCS-DISK\n"]),
    ],
)
def test_the_tutorials(
    pages: Mapping[str, Page], run_python: Callable[[str], str], name: str, words: list[str]
) -> None:
    cells = pages[f"docs/tutorials/{name}.md"].examples("{code-cell} python")
    assert len(cells) > 8
    said = run_python("\n".join(cells))
    for word in words:
        assert word in said


def test_python_in_the_readme_and_the_how_to(pages: Mapping[str, Page], run_python: Callable[[str], str]) -> None:
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
    assert "bdms-ingest at http://127.0.0.1:" in said
    assert said.endswith("0 chunk\n")


def test_the_command_line_in_the_readme(pages: Mapping[str, Page], tmp_path: Path) -> None:
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


def test_the_example_of_the_fixture(pages: Mapping[str, Page], embedded_rucio: RucioNamespace) -> None:
    names: dict[str, Any] = {}
    exec(pages["docs/how-to/test-against-rucio.md"].example("python"), names)
    names["test_a_night"](embedded_rucio)


def test_what_the_pages_call_the_home_is_there(pages: Mapping[str, Page], embedded_rucio: RucioNamespace) -> None:
    text = pages["docs/reference/configuration.md"].text
    section = text[text.index("## The home of") :]
    named = [name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("`(.*?)`", row)]
    assert len(named) > 10
    home = embedded_rucio.instance.home.path
    for name in named:
        if name != "storage/<RSE>.quarantine":  # only after something was put there
            assert list(home.glob(re.sub("<.*?>", "*", name))), name


def test_every_command_in_the_pages_is_understood(pages: Mapping[str, Page]) -> None:
    seen = set()
    for page in pages.values():
        for line in "\n".join(page.examples("sh")).replace("&&", "\n").splitlines():
            words = shlex.split(re.split(" [>|]", line)[0], comments=True)
            if words[:1] == ["bdms"]:
                app.parse_args(words[1:], exit_on_error=False, print_error=False)
                seen.add(words[1])
    assert seen == {name for name in app if not name.startswith("-")}


def test_every_example_in_python_is_python(pages: Mapping[str, Page]) -> None:
    examples = [(page.name, body) for page in pages.values() for body in page.examples("python")]
    assert examples
    for name, body in examples:
        compile(body, name, "exec")


def test_every_link_leads_somewhere(pages: Mapping[str, Page]) -> None:
    links = [
        (page, target)
        for page in pages.values()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.text)
        if not target.startswith(("http://", "https://"))
    ]
    assert len(links) > 20
    assert [f"{page.name}: {target}" for page, target in links if not (page.path.parent / target).exists()] == []


def test_the_tree_in_contributing_is_the_tree(pages: Mapping[str, Page]) -> None:
    block = re.search(r"```\n(pyproject.toml.*?)```", pages["CONTRIBUTING.md"].text, re.DOTALL)
    assert block
    rooms = re.findall(r"^  ([a-z_]+(?:/|\.py)) ", block[1], re.MULTILINE)
    package = TREE / "src" / "ctao_bdms"
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in package.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert set(rooms) == there
    top = re.findall(r"^([a-zA-Z.]+/?[a-z_/]*)", block[1], re.MULTILINE)
    assert [name for name in top if not (TREE / name).exists()] == []


def test_the_files_in_the_path_of_one_file_have_their_functions(pages: Mapping[str, Page]) -> None:
    text = pages["CONTRIBUTING.md"].text
    steps = re.findall(r"`([a-z]+/[a-z]+\.py)`, `(?:[A-Z][A-Za-z]+\.)?([a-z]+)`", text)
    assert len(steps) == 7
    for file, function in steps:
        source = (TREE / "src" / "ctao_bdms" / file).read_text(encoding="utf-8")
        assert f"def {function}(" in source, file


def test_the_python_pages_name_every_public_room(pages: Mapping[str, Page]) -> None:
    listed = set(re.findall(r"^   (ctao_[a-z_.]+)$", pages["docs/reference/python.md"].text, re.MULTILINE))
    rooms = {
        f"ctao_bdms.{path.parent.name}"
        for path in (TREE / "src" / "ctao_bdms").glob("*/__init__.py")
        if path.parent.name not in {"cli", "server", "testing"} and "__all__ = [" in path.read_text()
    }
    assert rooms <= listed
    testing = {path.stem for path in (TREE / "src" / "ctao_bdms" / "testing").glob("[a-z]*.py")}
    assert {name.rpartition(".")[2] for name in listed if ".testing." in name} <= testing


def test_the_environment_of_the_command_line_is_described(pages: Mapping[str, Page]) -> None:
    text = pages["docs/reference/configuration.md"].text
    sources = (path.read_text(encoding="utf-8") for path in (TREE / "src" / "ctao_bdms" / "cli").rglob("*.py"))
    read = set(re.findall(r"\b(?:BDMS|RUCIO)_[A-Z_]+\b", "\n".join(sources)))
    assert read
    assert read == set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE))
