"""What the pages say of the code, held against the code."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from ctao_bdms.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A Page of conftest; it cannot be imported from there.
Pages = "Mapping[str, Any]"


def test_every_command_in_the_pages_is_understood(pages: Pages) -> None:
    seen = set()
    for page in pages.values():
        for line in "\n".join(page.examples("sh")).replace("&&", "\n").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["bdms"]:
                app.parse_args(words[1:], exit_on_error=False, print_error=False)
                seen.add(words[1])
    assert seen == {name for name in app if not name.startswith("-")}


def test_every_example_in_python_is_python(pages: Pages) -> None:
    examples = [(page.name, body) for page in pages.values() for body in page.examples("python")]
    assert examples
    for name, body in examples:
        compile(body, name, "exec")


def test_every_link_leads_somewhere(pages: Pages) -> None:
    links = [
        (page, target)
        for page in pages.values()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.text)
        if not target.startswith(("http://", "https://"))
    ]
    assert len(links) > 20
    assert [f"{page.name}: {target}" for page, target in links if not (page.path.parent / target).exists()] == []


def test_the_tree_in_contributing_is_the_tree(pages: Pages, tree: Path) -> None:
    block = re.search(r"```\n(pyproject.toml.*?)```", pages["CONTRIBUTING.md"].text, re.DOTALL)
    assert block
    rooms = re.findall(r"^  ([a-z_]+(?:/|\.py)) ", block[1], re.MULTILINE)
    package = tree / "src" / "ctao_bdms"
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in package.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert set(rooms) == there
    top = re.findall(r"^([a-zA-Z.]+/?[a-z_/]*)", block[1], re.MULTILINE)
    assert [name for name in top if not (tree / name).exists()] == []


def test_the_files_of_the_walk_have_the_functions_of_the_walk(pages: Pages, tree: Path) -> None:
    text = pages["CONTRIBUTING.md"].text
    steps = re.findall(r"`([a-z]+/[a-z]+\.py)`, `([a-z]+)`", text)
    assert len(steps) == 6
    for file, function in steps:
        source = (tree / "src" / "ctao_bdms" / file).read_text(encoding="utf-8")
        assert f"def {function}(" in source, file


def test_the_python_pages_name_every_public_room(pages: Pages, tree: Path) -> None:
    listed = set(re.findall(r"^   (ctao_[a-z_.]+)$", pages["docs/reference/python.md"].text, re.MULTILINE))
    rooms = {
        f"ctao_bdms.{path.parent.name}"
        for path in (tree / "src" / "ctao_bdms").glob("*/__init__.py")
        if path.parent.name not in {"cli", "server", "testing"}
    }
    assert rooms <= listed
    testing = {path.stem for path in (tree / "src" / "ctao_bdms" / "testing").glob("[a-z]*.py")}
    assert {name.rpartition(".")[2] for name in listed if ".testing." in name} <= testing


def test_the_environment_of_the_command_line_is_described(pages: Pages, tree: Path) -> None:
    text = pages["docs/reference/configuration.md"].text
    sources = (path.read_text(encoding="utf-8") for path in (tree / "src" / "ctao_bdms" / "cli").glob("*.py"))
    read = set(re.findall(r"\b(?:BDMS|RUCIO)_[A-Z_]+\b", "\n".join(sources)))
    assert read
    assert read == set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE))
