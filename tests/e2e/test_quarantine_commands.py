"""What an operator does with files that may not enter: foreseen, listed, released, tried again, accepted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.testing.plugin import RucioNamespace
    from tests.e2e.conftest import Shell


def _tree(*folders: Path) -> dict[str, str]:
    """Return all that lies in folders, with digests of the contents."""
    return {
        str(path): str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def _cases(shell: Shell, folder: Path) -> dict[str, str]:
    """Return the identifiers of the cases about files of a folder, by path."""
    cases = shell.json("quarantine", "list")
    return {case["path"]: case["id"] for case in cases if case["path"].startswith(str(folder))}


def test_files_that_may_not_enter_by_commands(running: Shell, embedded_rucio: RucioNamespace) -> None:
    scope, root = embedded_rucio.scope, embedded_rucio.root
    folder = root / "ctao" / scope
    good, flipped, cut, bare = write_night(root, night_specs(4, megabytes=0.1, scope=scope))
    sound = flipped.path.read_bytes()
    for file, kind in ((flipped, Damage.BIT_FLIP), (cut, Damage.TRUNCATED), (bare, Damage.EMPTY)):
        damage(file.path, kind)

    before = _tree(folder)
    (foreseen,) = running.json("plan", str(folder), code=1)
    assert sorted(file["status"] for file in foreseen["files"]) == [*["quarantined"] * 3, "registered"]
    assert [block["n_files"] for block in foreseen["blocks"]] == [1]
    assert foreseen["requests"] > 0
    said = running.bdms("plan", str(folder), code=1)
    assert "a new directory: /ctao/" in said
    assert f"{foreseen['requests']} requests" in said
    assert _tree(folder) == before, "nothing was changed"
    assert not embedded_rucio.catalogue.files([good.lfn])

    running.json("ingest", str(folder), code=1)
    assert embedded_rucio.catalogue.files([good.lfn])
    cases = _cases(running, folder)
    assert set(cases) == {str(file.path) for file in (flipped, cut, bare)}

    shown = running.bdms("quarantine", "show", cases[str(flipped.path)])
    assert "corrupt" in shown
    assert str(flipped.path) in shown

    # It is as bad as before: trying again says so, and makes a case of it once more.
    again = running.json("quarantine", "retry", cases[str(cut.path)], code=1)
    assert [row["status"] for row in again] == ["quarantined"]
    assert not cut.path.exists()
    cases = _cases(running, folder)
    assert set(cases) == {str(file.path) for file in (flipped, cut, bare)}

    # Released, repaired from the producer's copy, and ingested.
    back = running.bdms("quarantine", "release", cases[str(flipped.path)], "--reason", "a copy was found")
    assert f"back at {flipped.path}" in back
    assert flipped.trigger.is_symlink()
    flipped.path.write_bytes(sound)
    assert {row["status"] for row in running.json("ingest", str(folder))} == {"registered"}
    assert embedded_rucio.catalogue.files([flipped.lfn])[flipped.lfn].size_bytes == len(sound)

    # Accepted on somebody's word; what is no product can never be.
    why = "the only copy of the burst"
    running.run("bdms", "quarantine", "accept", cases[str(cut.path)], code=2)
    accepted = running.json("quarantine", "accept", cases[str(cut.path)], "--reason", why)
    assert [row["status"] for row in accepted] == ["registered"]
    products = {row["lfn"]: row for row in running.json("query", "level=DL0", "--scope", scope)}
    assert why in products[str(cut.lfn)]["metadata"]["disclaimer"]
    refused = running.run("bdms", "quarantine", "accept", cases[str(bare.path)], "--reason", why, code=2)
    assert "cannot be accepted" in refused.stderr.replace("\n", " ")
    assert set(_cases(running, folder)) == {str(bare.path)}
