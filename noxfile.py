"""What can be done with this checkout: ``nox -l`` lists it."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "layers", "tests"]

PACKAGE = "ctao-bdms"
PYTHONS = ["3.11", "3.12", "3.13"]
#: Pythons for which the data model of CTAO is made.
ORACLE_PYTHONS = ["3.12", "3.13"]
TREE = ["src", "tests", "docs", "benchmarks", "noxfile.py"]
#: Everything but the rings that need a Rucio or minutes: for every Python that is supported, two tests at a time.
QUICK = ["-n2", "tests/imports", "tests/unit", "tests/property"]
#: All rings, two files at a time in the order of the rings: those with a Rucio first, which one process shares.
ALL = ["-n2", "--dist=loadfile", "--no-loadscope-reorder", "tests"]


def install(session: nox.Session, *extras: str) -> None:
    """Install the wheel of this tree as it is now, never a link to the tree: what is tested is what is shipped."""
    if session.venv_backend == "uv":  # it would take a wheel that it has built before
        session.install("--reinstall-package", PACKAGE, f".[{','.join(extras)}]" if extras else ".")
    else:
        session.install(f".[{','.join(extras)}]" if extras else ".")


@nox.session
def tests(session: nox.Session) -> None:
    """Run all rings of tests with this Python; arguments go to pytest."""
    install(session, "testing")
    session.install("pytest-timeout", "pytest-xdist")
    session.run("pytest", *(session.posargs or ALL))


@nox.session
def campaign(session: nox.Session) -> None:
    """Break a real daemon and a real Rucio again and again: `nox -s campaign -- --rounds 50 --campaign-seed 5`."""
    install(session, "testing")
    session.install("pytest-timeout")
    session.run("pytest", "tests/campaign", "-s", *session.posargs)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the quick rings and a small demo with each supported Python."""
    install(session, "testing")
    session.install("pytest-timeout", "pytest-xdist")
    session.run("pytest", *(session.posargs or QUICK))
    session.run("bdms", "demo", "--files", "8", "--megabytes", "0.5")


@nox.session(python=ORACLE_PYTHONS)
def oracle(session: nox.Session) -> None:
    """Compare names and metadata with all products of CTAO's own data model; arguments go to pytest."""
    install(session)
    session.install("ctao-datamodel>=1.4,<2", "hypothesis>=6.100", "pytest>=8.2", "pytest-timeout")
    session.run("pytest", *(session.posargs or ["tests/oracle"]))


@nox.session
def realfiles(session: nox.Session) -> None:
    """Read the files that other packages ship, beside their own readers; arguments go to pytest."""
    install(session, "formats")
    session.install("h5py", "fitsio", "hypothesis>=6.100", "protozfits", "pytest>=8.2", "pytest-timeout")
    session.install("regions", "scipy", "tables")
    session.run("pytest", *(session.posargs or ["tests/realfiles"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style (ruff); `nox -s lint -- --fix` repairs what it can."""
    session.install("ruff>=0.11")
    session.run("ruff", "check", *session.posargs, *TREE)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--diff"]), *TREE)


@nox.session
def types(session: nox.Session) -> None:
    """Check types (mypy, strict)."""
    install(session, "testing")
    session.install("mypy>=1.15", "nox")
    session.run("mypy", *session.posargs)


@nox.session
def layers(session: nox.Session) -> None:
    """Check the walls between the rooms (import-linter)."""
    session.install("import-linter>=2.1", "--editable", ".")
    session.run("lint-imports", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, executing its tutorial, into docs/_build/html; warnings are errors."""
    install(session, "docs")
    shutil.rmtree("docs/reference/api", ignore_errors=True)  # pages of modules that have moved would stay
    session.run("sphinx-build", "-W", "--keep-going", *session.posargs, "docs", "docs/_build/html")


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions into dist, and try the wheel in an empty environment."""
    session.install("build")
    dist = Path("dist")
    for old in dist.glob("ctao_bdms-*"):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", str(dist))
    (wheel,) = dist.glob("*.whl")
    empty = Path(session.create_tmp()) / "empty"
    session.run("python", "-m", "venv", "--clear", str(empty))
    python = str(empty / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    session.run(python, "-c", "import ctao_bdms; print(ctao_bdms.Night.parse('2026-11-21'))", external=True)
    session.run(python, "-c", "import ctao_rucio_policy; print(ctao_rucio_policy.get_algorithms())", external=True)
    # Without the libraries of the command line, it says in one sentence what to install.
    said = session.run(str(empty / "bin" / "bdms"), "--help", external=True, success_codes=[1], silent=True)
    if said is None or not str(said).strip().endswith("pip install 'ctao-bdms[client]'") or "\n" in str(said).strip():
        session.error(f"bdms --help with the base install says: {said}")


@nox.session
def picture(session: nox.Session) -> None:
    """Draw the pictures of README and docs anew: docs/_static/demo.svg, status.svg and placement.svg."""
    install(session, "embedded", "plot")
    session.run("bdms", "demo", "--svg", "docs/_static/demo.svg")
    session.run("python", "docs/pictures/status.py", "docs/_static/status.svg")
    changes = ("--join", "CSCS@2028-01", "--full", "DESY@2028-09", "--leave", "PIC@2029-06")
    session.run("bdms", "placement", "simulate", *changes, "--plot", "docs/_static/placement.svg")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure names, scans, metadata and registration; arguments go to the benchmark of registration."""
    install(session, "testing")
    session.run("python", "benchmarks/names.py")
    session.run("python", "benchmarks/scan.py")
    session.run("python", "benchmarks/metadata.py", "--rows", "100000")
    session.run("python", "benchmarks/register.py", *session.posargs)
