"""Ingest, broken anywhere: between any two calls to the catalogue or the disk, by outages, by lost answers.

The catalogue is the one in memory, the files and the disk are real. A crash is an exception that no handler of the
library may survive: once the process is dead, whatever it still tries to do fails too. Each ingest begins with nothing
in memory, as after a restart. At the end, undisturbed ingests must leave everything as if nothing had ever broken.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from tests.property.fate import FATE
from tests.property.ingest_model import Ingest


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        *itertools.product(["ingest", "daemon", "retry", "accept", "retry, told again"], Ingest.KINDS),
        ("daemon", "late"),
    ],
)
def test_ingest_recovers_wherever_it_breaks(what: str, kind: str) -> None:
    """The same steps, broken at the first call, at the second, and so on until they run to the end."""
    for after in range(200):
        story = Ingest()
        try:
            for number, which in enumerate((2, 0, 0)):
                story.write(number, which, "relative")
            story.write_with_a_bad_name(1)
            story.write_for_a_scope_that_does_not_exist(0)
            if what == "ingest":
                story.ingest(kind, after, 2)
            elif what == "daemon":
                story.a_step_of_the_daemon(kind, after, 2)
                story.write(0, 1, "relative")
                story.a_step_of_the_daemon("", 0, 2)
                story.late_requests_are_carried_out()
            else:
                story.ingest("", 0, 500)
                story.take_out_of_quarantine(what.partition(",")[0], kind, after, 0)
            was_reached = FATE.was_reached
            if what == "retry, told again":
                story.trigger_again(0)
            story.no_file_is_ever_lost_or_made()
            story.ingest("", 0, 500)
            story.no_file_is_ever_lost_or_made()
            if what == "ingest":
                story.no_case_is_empty()
        finally:
            story.teardown()
        if not was_reached:
            assert after > 0
            return
    pytest.fail("it never runs to its end")


TestIngest = Ingest.TestCase
TestIngest.settings = settings(
    max_examples=40,
    stateful_step_count=20,
)
