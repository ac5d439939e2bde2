"""Facts travel: between processes, and through JSON into a journal and back."""

from __future__ import annotations

import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from ctao_bdms.model import Defect, DefectKind, FileFacts, Flag, HduFacts, SumStatus

TEXTS = st.text(max_size=20)
#: A path may hold bytes that are no text.
PATHS = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
KEYWORDS = st.dictionaries(
    TEXTS, st.one_of(TEXTS, st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=4
)
WHOLE = st.integers(0, 2**63)
HDUS = st.builds(
    HduFacts,
    index=WHOLE,
    name=TEXTS,
    offset=WHOLE,
    header_bytes=WHOLE,
    data_bytes=WHOLE,
    datasum=st.sampled_from(SumStatus),
    checksum=st.sampled_from(SumStatus),
    data_sum32=st.integers(0, 2**32 - 1),
    keywords=KEYWORDS,
)
FACTS = st.builds(
    FileFacts,
    path=PATHS,
    size_bytes=WHOLE,
    modified_ns=WHOLE,
    digests=st.dictionaries(TEXTS, TEXTS, max_size=3),
    format=TEXTS,
    kind=TEXTS,
    checked=st.booleans(),
    flags=st.lists(st.sampled_from(Flag)).map(tuple),
    keywords=KEYWORDS,
    hdus=st.lists(HDUS, max_size=3).map(tuple),
    trailing_bytes=WHOLE,
    defects=st.lists(st.builds(Defect, st.sampled_from(DefectKind), TEXTS)).map(tuple),
)


@given(facts=FACTS)
def test_facts_come_back_from_json(facts: FileFacts) -> None:
    back = FileFacts.from_wire(json.loads(json.dumps(facts.to_wire())))
    assert back == facts
    assert repr(back) == repr(facts)
    assert back.verdict is facts.verdict


@given(facts=FACTS)
def test_without_headers_only_those_are_lost(facts: FileFacts) -> None:
    short = FileFacts.from_wire(json.loads(json.dumps(facts.to_wire(headers=False))))
    assert all(not hdu.keywords for hdu in short.hdus)
    assert short.keywords == facts.keywords
    assert len(short.hdus) == len(facts.hdus)
    assert short.verdict is facts.verdict


@given(facts=FACTS)
def test_facts_come_back_from_another_process(facts: FileFacts) -> None:
    assert pickle.loads(pickle.dumps(facts)) == facts


@given(facts=FACTS)
def test_what_another_version_wrote_is_read(facts: FileFacts) -> None:
    document = {**facts.to_wire(), "of the future": 1}
    for name in ("flags", "format", "kind", "checked"):
        del document[name]
    assert FileFacts.from_wire(document).digests == facts.digests
