"""Commands of a user whom nobody has named: no entry in the password database, no HOME, no USER, no LOGNAME."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.embedded.topology import INGEST
from ctao_bdms.model import Night
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.embedded import Instance

UID = 54321
NIGHT = Night.parse("2031-02-03")
NAMING = {
    "HOME",
    "USER",
    "LOGNAME",
    "USERNAME",
    "LNAME",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "BDMS_HOME",
    "RUCIO_CONFIG",
}
PROGRAM = [sys.executable, "-c", "import sys; from ctao_bdms.cli import main; sys.exit(main())"]

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root can be another user, by setpriv"
)


class Stranger:
    """Runs commands as a user without a name."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder = folder
        self.config = config

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if key not in NAMING}
        # It may enter what is installed and the storage, wherever they lie, and has no other right of root.
        as_stranger = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        may_enter = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        done = subprocess.run(
            [*as_stranger, *may_enter, *PROGRAM, *arguments],
            env={**env, "TMPDIR": str(self.folder)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        assert done.returncode == code, done.stderr
        return done

    def ask(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(*arguments, "--rucio-config", str(self.config), code=code)


@pytest.fixture
def stranger(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    folder = tmp_path_factory.mktemp("stranger")
    os.chown(folder, UID, UID)
    lines = embedded_rucio_instance.home.client_config(INGEST).read_text().splitlines()
    config = folder / "rucio.cfg"
    config.write_text("\n".join(line for line in lines if not line.startswith("auth_token_file_path")))
    config.chmod(0o644)
    return Stranger(folder, config)


def test_files_enter_and_are_fetched(stranger: Stranger, embedded_rucio_instance: Instance) -> None:
    storage = embedded_rucio_instance.home.storage("CTAO-NORTH-ONSITE")
    written = write_night(storage, night_specs(4, megabytes=0.02, night=NIGHT))
    lfn = str(written[0].lfn)
    stranger.run("scan", str(written[0].path))
    assert "4 registered" in stranger.ask("plan", *(str(each.path) for each in written)).stdout
    stranger.ask("ingest", str(written[0].path))
    assert lfn in stranger.ask("query", f"night={NIGHT}", "--lfns").stdout
    stranger.ask("locate", lfn)
    stranger.ask("get", lfn, "--to", "got")
    assert (stranger.folder / "got" / written[0].path.name).read_bytes() == written[0].path.read_bytes()
    stranger.ask("rules")
    stranger.ask("night", str(NIGHT), code=1)
    stranger.ask("reconcile", "--dry-run")
    stranger.ask("release")
    stranger.ask("quarantine", "list")
    (stranger.folder / "products").mkdir()
    stranger.ask("put", "products")


def test_token_is_private(stranger: Stranger) -> None:
    stranger.ask("query", "level=DL0", "--count")
    (token,) = stranger.folder.glob("ctao-bdms-*/token-*")
    for path, mode in ((token, 0o600), (token.parent, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_uid == UID
    kept = token.read_text()
    assert json.loads(stranger.ask("query", "--count", "--json").stdout)["count"] >= 0
    assert token.read_text() == kept, "the token is used again"


def test_token_is_not_given_to_a_folder_of_others(stranger: Stranger) -> None:
    folder = stranger.folder / f"ctao-bdms-{UID}"
    folder.mkdir()
    folder.chmod(0o777)
    assert "is not private" in stranger.ask("query", "--count", code=2).stderr.replace("\n", " ")
    assert list(folder.iterdir()) == []


def test_home_that_nobody_has_named_is_asked_for(stranger: Stranger) -> None:
    assert "--home or BDMS_HOME" in stranger.run("query", "level=DL0", code=2).stderr.replace("\n", " ")
    assert "--home or BDMS_HOME" in stranger.run("status", code=2).stderr.replace("\n", " ")
