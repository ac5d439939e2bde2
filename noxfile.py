"""What can be done with this checkout: ``nox -l`` lists it."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "layers", "tests"]

PACKAGE = "ctao-bdms"
PYTHONS = ["3.11", "3.12", "3.13"]
TREE = ["src", "tests", "docs", "benchmarks", "noxfile.py"]
#: Everything but the rings that need minutes: for every Python that is supported.
QUICK = ["tests/imports", "tests/unit", "tests/property", "tests/contract"]


def install(session: nox.Session, *extras: str) -> None:
    """Install the wheel of this tree as it is now, never a link to the tree: what is tested is what is shipped."""
    if session.venv_backend == "uv":  # it would take a wheel that it has built before
        session.install("--reinstall-package", PACKAGE, f".[{','.join(extras)}]")
    else:
        session.install(f".[{','.join(extras)}]")


@nox.session
def tests(session: nox.Session) -> None:
    """All rings of tests with this Python; arguments go to pytest."""
    install(session, "testing")
    session.install("pytest-timeout", "pytest-xdist")
    session.run("pytest", *(session.posargs or ["tests"]))


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """The quick rings and a small demo with each supported Python."""
    install(session, "testing")
    session.install("pytest-timeout")
    session.run("pytest", *(session.posargs or QUICK))
    session.run("bdms", "demo", "--files", "8", "--megabytes", "0.5")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes (ruff); `nox -s lint -- --fix` repairs what it can."""
    session.install("ruff>=0.11")
    session.run("ruff", "check", *session.posargs, *TREE)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--diff"]), *TREE)


@nox.session
def types(session: nox.Session) -> None:
    """Types (mypy, strict)."""
    install(session, "testing")
    session.install("mypy>=1.15", "nox")
    session.run("mypy", *session.posargs)


@nox.session
def layers(session: nox.Session) -> None:
    """The walls between the rooms (import-linter)."""
    session.install("import-linter>=2.1", "--editable", ".")
    session.run("lint-imports", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with its tutorial executed; warnings are errors. Result: docs/_build/html."""
    install(session, "docs")
    session.run(
        "sphinx-build", "-W", "--keep-going", "-b", "html", *session.posargs, "docs", "docs/_build/html",
        env={"PYTHONWARNINGS": "default"},
    )  # fmt: skip


@nox.session
def build(session: nox.Session) -> None:
    """The distributions; the wheel is tried in an empty environment. Result: dist."""
    session.install("build")
    folder = Path(session.create_tmp())
    dist = folder / "dist"
    for old in dist.glob("*"):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", str(dist))
    empty = folder / "empty"
    session.run("python", "-m", "venv", "--clear", str(empty))
    python = str(empty / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(next(dist.glob("*.whl"))), external=True)
    session.run(python, "-c", "import ctao_bdms; print(ctao_bdms.Night.parse('2026-11-21'))", external=True)
    session.run(python, "-c", "import ctao_rucio_policy; print(ctao_rucio_policy.get_algorithms())", external=True)
    said = session.run(str(empty / "bin" / "bdms"), "--help", external=True, success_codes=[0, 1], silent=True)
    if "ctao-bdms[client]" not in str(said) or "Traceback" in str(said):
        session.error(f"without the command line's libraries, bdms must say what to install; it says: {said}")
    target = Path("dist")
    target.mkdir(exist_ok=True)
    for made in dist.iterdir():
        made.replace(target / made.name)


@nox.session
def picture(session: nox.Session) -> None:
    """The picture of the demonstration in the README: docs/_static/demo.svg."""
    install(session, "embedded")
    session.run("bdms", "demo", "--svg", "docs/_static/demo.svg")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark of registration; arguments go to it."""
    install(session, "testing")
    session.run("python", "benchmarks/register.py", *session.posargs)
