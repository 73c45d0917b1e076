"""Of what was applied, which is gone back to, and which is not tried again."""

from __future__ import annotations

import json

from enova.core.lockfile import Entry
from enova.core.revision import (
    Cause,
    Ending,
    before,
    deciding,
    digest_of,
    lock_of,
    revision_as_data,
    revision_in,
    stalled,
)
from enova.core.spec import Service
from tests.core.forecasts import forecast
from tests.core.revisions import revision

CHAT = Service.model_validate({"metadata": {"name": "chat"}, "model": "org/model"})
ENTRY = Entry(inputs="i", inventory="v", chosen={"engine.max_num_seqs": 8})


def test_a_revision_is_read_back_as_it_was() -> None:
    kept = revision(forecast=forecast(usd_per_million_tokens=1.661), actions=("+ create chat#0: not found",))

    assert revision_in(json.loads(json.dumps(revision_as_data(kept))), 0) == kept


def test_its_spec_and_what_was_chosen_can_be_applied_again() -> None:
    kept = revision(lock=lock_of("chat", ENTRY))

    assert kept.written == CHAT
    assert kept.chosen["chat"].chosen == ENTRY.chosen


def test_the_same_spec_with_another_choice_is_another_version() -> None:
    other = Entry(inputs="i", inventory="v", chosen={"engine.max_num_seqs": 16})
    again = Entry(inputs="other", inventory="other", chosen={"engine.max_num_seqs": 8})

    assert len({digest_of(CHAT, None), digest_of(CHAT, ENTRY), digest_of(CHAT, other)}) == 3
    assert digest_of(CHAT, again) == digest_of(CHAT, ENTRY)


def test_a_rollback_goes_to_the_newest_other_version_that_was_applied() -> None:
    first, second = revision(digest="a"), revision(digest="b")
    failed = revision(digest="c", ending=Ending.FAILED)

    assert before([first, second]) == first
    assert before([first, second, second]) == first
    assert before([first, second, failed]) == second
    assert before([first, failed, second]) == first
    assert before([first]) is None
    assert before([]) is None


def test_a_rollback_brings_back_what_was_removed() -> None:
    removal = revision(digest="", spec={}, cause=Cause.REMOVAL)

    assert before([revision(), removal]) == revision()
    assert before([removal, revision()]) is None


def test_only_the_last_version_that_was_tried_can_be_stalled() -> None:
    failed = revision(digest="b", ending=Ending.FAILED)

    assert stalled(failed, "b") == failed
    assert stalled(failed, "a") is None
    assert stalled(revision(digest="b"), "b") is None
    assert stalled(revision(digest="b", ending=Ending.HINDERED), "b") is None
    assert stalled(None, "b") is None


def test_repairs_and_advice_decide_nothing() -> None:
    first, second = revision(digest="a"), revision(digest="b")
    repair = revision(digest="b", cause=Cause.REPAIR, ending=Ending.FAILED)
    advice = revision(digest="c", ending=Ending.ADVISED)

    assert deciding([first, second, repair, advice]) == [first, second]
    assert before([first, second, repair, advice]) == first
