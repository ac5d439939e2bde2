"""What the policy package needs: a server or client that has nothing but Rucio and attrs must be able to load it."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {allowed} and not top.startswith("_sysconfigdata"):
            raise ImportError(f"{{name}} is blocked")
        return None

sys.meta_path.insert(0, Wall())
import importlib, pkgutil
import ctao_rucio_policy
for module in pkgutil.iter_modules(ctao_rucio_policy.__path__, "ctao_rucio_policy."):
    importlib.import_module(module.name)
print(sorted(ctao_rucio_policy.get_algorithms()))
"""


def load(*allowed: str) -> subprocess.CompletedProcess[str]:
    code = BLOCKED.format(allowed=set(allowed))
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)


def test_the_policy_needs_attrs_and_the_standard_library() -> None:
    done = load("attr", "attrs", "ctao_bdms", "ctao_rucio_policy")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['lfn2pfn', 'pfn2lfn', 'scope']\n"


def test_the_wall_of_this_test_holds() -> None:
    done = load("ctao_bdms", "ctao_rucio_policy")
    assert done.returncode != 0
    assert "attrs is blocked" in done.stderr or "attr is blocked" in done.stderr


def test_the_policy_needs_no_zone_data() -> None:
    name = "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T230000-00000001"
    work = f"""
import zoneinfo
zoneinfo.reset_tzpath(to=[])
algorithms = ctao_rucio_policy.get_algorithms()
(scope,) = algorithms["scope"].values()
(lfn2pfn,) = algorithms["lfn2pfn"].values()
print(scope("{name}", None), lfn2pfn("acada", "{name}", "X", {{}}, {{}}))
from ctao_bdms.model import Site
try:
    Site.NORTH.zone
except ImportError:
    print("no zones")
"""
    code = BLOCKED.format(allowed={"attr", "attrs", "ctao_bdms", "ctao_rucio_policy"}) + work
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [f"('acada', '{name}') {name.removeprefix('/')}", "no zones"]
