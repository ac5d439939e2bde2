"""bdms ingest and the daemon compare files alike with what their producers say beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.daemon.config.settings import Inbox, Settings, Storage
from ctao_bdms.daemon.stages.description import description
from ctao_bdms.inbox import survey
from ctao_bdms.ingest.read import read_all
from ctao_bdms.model import Site
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from pathlib import Path


def test_a_digest_that_disagrees_is_a_defect(tmp_path: Path) -> None:
    sound, wrong = (file.path for file in write_night(tmp_path, night_specs(2, megabytes=0.1)))
    wrong.with_name(wrong.name + ".md5").write_text("0" * 32 + "\n")
    described = {item.file.path: item for item in read_all(survey([tmp_path], tmp_path))}
    assert described[sound].defects == ()
    assert "md5" in str(described[wrong].defects[0])
    storage = Storage(root=tmp_path, rse="SITE", site=Site.NORTH)
    for item in described.values():
        assert description(item.file, item.facts, Settings(storage=storage)) == item
        deaf = Settings(storage=storage, inbox=Inbox(sidecars=False))
        assert description(item.file, item.facts, deaf).defects == ()
