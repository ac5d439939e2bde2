"""The clock of the server against ours."""

from __future__ import annotations

import datetime as dt

import pytest

from ctao_bdms.catalogue.rucio.identity import Identity
from ctao_bdms.daemon.config.check import _clock

NOW = dt.datetime(2026, 11, 21, 22, 0, 0, 700_000, tzinfo=dt.UTC)


def us(server_time: dt.datetime | None) -> Identity:
    return Identity(account="bdms-ingest", role="ingest", server_version="41.5.1", server_time=server_time)


@pytest.mark.parametrize(("apart_s", "ok"), [(-0.7, True), (4.0, True), (-4.0, True), (7.0, False), (-3600.0, False)])
def test_clocks_that_are_apart(apart_s: float, ok: bool) -> None:
    finding = _clock(us(NOW + dt.timedelta(seconds=apart_s)), NOW)
    assert finding.ok is ok
    assert bool(finding.remedy) is not ok
    assert ok or f"are {abs(apart_s):.0f} s apart" in finding.found


def test_a_server_without_a_clock() -> None:
    assert _clock(us(None), NOW).ok
