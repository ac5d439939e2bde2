"""What an import of the library costs: nothing heavy comes in unasked."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("astropy", "cyclopts", "flask", "numpy", "requests", "rich", "rucio", "sqlalchemy")


def _loaded(code: str) -> set[str]:
    """Return which heavy modules are loaded after `code` has run in a fresh interpreter."""
    program = f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import ctao_bdms", set()),
        ("import ctao_bdms; ctao_bdms.Lfn('/ctao/acada/x'), ctao_bdms.DataLevel.DL0, ctao_bdms.Night", set()),
        ("import ctao_bdms.naming, ctao_bdms.model, ctao_bdms.errors, ctao_bdms.catalogue", set()),
        ("import ctao_bdms; ctao_bdms.scan", {"numpy"}),
        ("import ctao_bdms; ctao_bdms.connect, ctao_bdms.Bdms", {"numpy"}),
        ("import ctao_bdms.daemon, ctao_bdms.daemon.config.example, ctao_bdms.daemon.deploy", {"numpy"}),
        ("import ctao_bdms.embedded", {"numpy"}),
        ("import ctao_bdms.testing.plugin", set()),
    ],
)
def test_nothing_heavy_comes_in_unasked(code: str, allowed: set[str]) -> None:
    assert _loaded(code) <= allowed


def test_the_public_names_are_all_there() -> None:
    import ctao_bdms

    assert dir(ctao_bdms) == sorted(ctao_bdms.__all__)
    for name in ctao_bdms.__all__:
        assert getattr(ctao_bdms, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ctao_bdms.nonsense
