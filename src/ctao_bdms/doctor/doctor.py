"""Whether the policy is in force, on this machine and on the server: ``python -m`` this module answers in JSON.

Rucio ignores a policy package that it cannot import, without a word. So its own tables are asked, in a process of its
own, because Rucio reads its configuration once. `examine` starts that process.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import subprocess
import sys
from configparser import Error as ConfigurationError
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import attrs

from ctao_bdms.errors import CatalogueError
from ctao_bdms.naming import pfn_path, scope_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Finding", "Findings", "examine"]

_PACKAGE, _ALGORITHM = "ctao_rucio_policy", "ctao_bdms"
_KINDS = ("lfn2pfn", "pfn2lfn", "scope")
_PROBES = ("/ctao/acada/DL0/LSTN-01/2026/11/21/probe.fits.fz", "/ctao/user/p/probe/x+y")
_ESCAPE = "/ctao/acada/../probe"
_INSTALL = "Install ctao-bdms into the Python that runs Rucio."
_BROKEN_IMPORT = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError)


@attrs.frozen(kw_only=True)
class Finding:
    """What a check has found.

    Attributes
    ----------
    ok
        Whether it is as it must be.
    found
        What was found, in a sentence.
    remedy
        What to do; empty if all is well.
    """

    check: str
    ok: bool
    found: str
    remedy: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return "ok" if self.ok else "WRONG"


class Findings(Rows[Finding]):
    """What all checks have found."""

    columns: ClassVar = (("check", "check"), ("verdict", "verdict"), ("found", "found"), ("remedy", "remedy"))

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(finding.ok for finding in self)


def examine(config: Path) -> Findings:
    """Check whether the policy is in force for a client or server with this ``rucio.cfg``.

    Raises
    ------
    CatalogueError
        If Rucio itself is broken here, so that nothing can be found out.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ctao_bdms.doctor.doctor"],
        env=os.environ | {"RUCIO_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise CatalogueError(f"Rucio cannot be asked on this machine: {last}")
    return Findings(Finding(**row) for row in json.loads(done.stdout))


def _checks() -> Iterator[Finding]:
    """Check one thing after the other; what makes Rucio itself unusable ends it."""
    yield _distributions()
    for check in (_package, _version):
        finding = check()
        yield finding
        if not finding.ok:
            return
    yield from (_algorithms(), _settings(), _schema(), _permissions(), _scopes())
    yield from _server()


def _distributions() -> Finding:
    found = {}
    for name in ("rucio", "rucio-clients"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    said = ", ".join(f"{name} {version}" for name, version in found.items())
    if len(set(found.values())) > 1:
        remedy = "Install the same version of both: they own the same files, and the later one has overwritten them."
        return Finding(check="distributions", ok=False, found=f"{said} are installed together.", remedy=remedy)
    return Finding(check="distributions", ok=True, found=f"{said} installed.")


def _setting(section: str, option: str) -> str:
    """Return a setting as Rucio reads it without its database; empty if there is none."""
    from rucio.common.config import config_get

    try:
        return str(config_get(section, option, check_config_table=False, raise_exception=True))
    except (ConfigurationError, RuntimeError):
        return ""


def _write(line: str) -> str:
    return f"Write {line} into the section [policy] of rucio.cfg."


def _package() -> Finding:
    name = os.environ.get("RUCIO_POLICY_PACKAGE") or _setting("policy", "package")
    if name != _PACKAGE:
        said = f"The configured policy package is {name}" if name else "No policy package is configured"
        remedy = _write(f"package = {_PACKAGE}")
        return Finding(check="package", ok=False, found=f"{said}, so other rules are in force.", remedy=remedy)
    if importlib.util.find_spec(name) is None:
        return Finding(check="package", ok=False, found=f"{name} is configured but not installed.", remedy=_INSTALL)
    try:
        module = importlib.import_module(name)
    except _BROKEN_IMPORT as error:
        said = f"{name} cannot be imported ({error}), and Rucio ignores it without a word."
        return Finding(check="package", ok=False, found=said, remedy=f"Install what is missing. {_INSTALL}")
    return Finding(check="package", ok=True, found=f"{name} is imported from {module.__file__}.")


def _version() -> Finding:
    from packaging.specifiers import SpecifierSet
    from rucio.version import RUCIO_VERSION

    wanted = ",".join(importlib.import_module(_PACKAGE).SUPPORTED_VERSION)
    if RUCIO_VERSION in SpecifierSet(wanted):
        return Finding(check="version", ok=True, found=f"Rucio {RUCIO_VERSION} is in the supported range {wanted}.")
    said = f"Rucio {RUCIO_VERSION} is outside of the supported range {wanted}, and refuses the package."
    return Finding(check="version", ok=False, found=said, remedy="Install a Rucio of that range, or another ctao-bdms.")


def _algorithms() -> Finding:
    from rucio.common.plugins import PolicyPackageAlgorithms

    PolicyPackageAlgorithms()
    tables = PolicyPackageAlgorithms._ALGORITHMS  # Rucio has no public way to look into them
    missing = [
        kind
        for kind in _KINDS
        if not str(getattr(tables.get(kind, {}).get(_ALGORITHM), "__module__", "")).startswith(_PACKAGE)
    ]
    if missing:
        said = f"Rucio's tables do not hold {_ALGORITHM} for {', '.join(missing)}."
        return Finding(check="algorithms", ok=False, found=said, remedy=_INSTALL)
    return Finding(check="algorithms", ok=True, found=f"Rucio's tables hold {_ALGORITHM} for {', '.join(_KINDS)}.")


def _settings() -> Finding:
    chosen = {
        "lfn2pfn_algorithm_default": _setting("policy", "lfn2pfn_algorithm_default"),
        "extract_scope": _setting("common", "extract_scope") or _setting("policy", "extract_scope"),
    }
    if wrong := [name for name, value in chosen.items() if value != _ALGORITHM]:
        said = "; ".join(f"{name} is {chosen[name] or 'not set'}" for name in wrong)
        remedy = _write(" and ".join(f"{name} = {_ALGORITHM}" for name in wrong))
        return Finding(check="settings", ok=False, found=f"{said}.", remedy=remedy)
    return Finding(check="settings", ok=True, found=f"{' and '.join(chosen)} are {_ALGORITHM}.")


def _module(check: str, name: str, holder: str) -> Finding:
    """Say whether Rucio has loaded our module; a package without one is passed over with a line in a log."""
    if name == f"{_PACKAGE}.{check}":
        return Finding(check=check, ok=True, found=f"Rucio's {check} is {name}.")
    return Finding(check=check, ok=False, found=f"Rucio's {check} is {name}, as {holder} says.", remedy=_INSTALL)


def _schema() -> Finding:
    from rucio.common import schema

    return _module("schema", schema.schema_modules["def"].__name__, "rucio.common.schema")


def _permissions() -> Finding:
    if importlib.util.find_spec("rucio.core") is None or importlib.util.find_spec("rucio.core.permission") is None:
        return Finding(check="permission", ok=True, found="This is a client; permissions are decided by the server.")
    from rucio.core import permission

    return _module("permission", permission.permission_modules["def"].__name__, "rucio.core.permission")


def _scopes() -> Finding:
    from rucio.common.exception import RucioException
    from rucio.common.utils import extract_scope

    for name in _PROBES:
        try:
            given = tuple(extract_scope(name, None))
        except RucioException as error:
            given = (str(error),)
        if given != (scope_of(name), name):
            said = f"Rucio takes {name} for {':'.join(map(str, given))}; it is in scope {scope_of(name)}."
            remedy = _write(f"extract_scope = {_ALGORITHM}")
            return Finding(check="scopes", ok=False, found=said, remedy=remedy)
    return Finding(check="scopes", ok=True, found=f"{len(_PROBES)} names are in their scopes.")


def _server() -> Iterator[Finding]:
    from rucio.client import Client
    from rucio.common.exception import RucioException
    from rucio.version import RUCIO_VERSION

    try:
        client = Client()
        theirs = client.ping()["version"]
        rses = sorted(row["rse"] for row in client.list_rses() if row["deterministic"])
    except RucioException as error:
        said = f"The server does not answer: {' '.join(str(error).split())}"
        yield Finding(check="server", ok=False, found=said, remedy="Check rucio_host and the account in [client].")
        return
    if theirs.split(".")[:2] == RUCIO_VERSION.split(".")[:2]:
        yield Finding(check="server", ok=True, found=f"The server runs Rucio {theirs}.")
    else:
        said = f"The server runs Rucio {theirs}, and here is {RUCIO_VERSION}."
        yield Finding(check="server", ok=False, found=said, remedy="Install the same Rucio on both sides.")
    for rse in rses:
        yield _storage(client, rse)


def _storage(client: Any, rse: str) -> Finding:  # noqa: ANN401 (Rucio's client)
    """Ask the server to translate names, and compare with what the names say."""
    from rucio.common.exception import RucioException

    check, algorithm = f"server, {rse}", "not set"
    try:
        algorithm = client.list_rse_attributes(rse).get("lfn2pfn_algorithm", algorithm)
        prefixes = {str(protocol["prefix"]) for protocol in client.get_protocols(rse)}
        wanted = {name: {pfn_path(name, prefix) for prefix in prefixes} for name in _PROBES}
        given = client.lfns2pfns(rse, [f"{scope_of(name)}:{name}" for name in _PROBES])
        wrong = [n for n in _PROBES if urlsplit(str(given.get(f"{scope_of(n)}:{n}"))).path not in wanted[n]]
        said = f"The server puts {wrong[0]} at {given.get(f'{scope_of(wrong[0])}:{wrong[0]}')}" if wrong else ""
        if not wrong and _translates(client, rse):
            said = f"The server translates {_ESCAPE}, which is no canonical name"
    except RucioException as error:
        said = f"The server translates no names: {' '.join(str(error).split())}"
    if not said:
        return Finding(check=check, ok=True, found=f"The server and this machine put {len(_PROBES)} names alike.")
    remedy = (
        f"Set its attribute lfn2pfn_algorithm (now {algorithm}) to {_ALGORITHM}, and see that the server's rucio.cfg "
        f"names {_PACKAGE}."
    )
    return Finding(check=check, ok=False, found=f"{said}.", remedy=remedy)


def _translates(client: Any, rse: str) -> bool:  # noqa: ANN401
    """Whether the server finds a place for a name that our policy refuses."""
    from rucio.common.exception import ReplicaNotFound

    try:
        return bool(client.lfns2pfns(rse, [f"acada:{_ESCAPE}"]))
    except ReplicaNotFound:
        return False


def _main() -> None:
    logging.disable(logging.CRITICAL)
    print(json.dumps([attrs.asdict(finding) for finding in _checks()]))


if __name__ == "__main__":
    _main()
