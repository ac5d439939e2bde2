"""What the tests of the documentation share: the pages, and the examples in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_TREE = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Page:
    """A page of the documentation."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(_TREE))

    def examples(self, language: str) -> list[str]:
        return [match["body"] for match in _FENCE.finditer(self.text) if match["language"] == language]

    def example(self, language: str) -> str:
        """Return the one example in that language that has more than two lines."""
        (body,) = [body for body in self.examples(language) if body.count("\n") > 2]
        return body


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return the folder of the checkout."""
    return _TREE


@pytest.fixture(scope="session")
def pages() -> dict[str, Page]:
    """Return all pages by their names below the checkout."""
    paths = [*_TREE.glob("*.md"), *_TREE.glob("changes/*.md")]
    paths += [path for path in _TREE.glob("docs/**/*.md") if "_build" not in path.parts]
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
