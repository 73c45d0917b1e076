"""Which version of a service is in force."""

from __future__ import annotations

from typing import Any

from enova.core.lockfile import Entry
from enova.core.revision import Cause, Ending, Revision, lock_of, spec_of
from enova.core.spec import Service
from enova.core.watch.version import Because, InForce, Version, in_force, version_of, version_with
from tests.core.revisions import revision


def chat(model: str = "org/model") -> Service:
    return Service.model_validate({"metadata": {"name": "chat"}, "model": model})


def entry(seqs: int = 8, inputs: str = "i") -> Entry:
    return Entry(inputs=inputs, inventory="v", chosen={"engine.max_num_seqs": seqs})


def applied(version: Version, **changes: Any) -> Revision:
    values = {
        "spec": spec_of(version.service),
        "lock": lock_of("chat", version.entry),
        "digest": version.digest,
        "source": version.source,
    }
    return revision(**(values | changes))


NEW, OLD = Version(service=chat("org/new")), Version(service=chat("org/old"))


def holds(written: Version, newest: Revision | None, earlier: Revision | None = None) -> InForce:
    return in_force(written, newest, lambda: earlier)


def test_what_was_never_applied_is_to_be_applied() -> None:
    assert holds(NEW, None) == InForce(version=NEW, changed=True)


def test_what_was_applied_last_is_only_kept_up() -> None:
    assert holds(NEW, applied(NEW)) == InForce(version=NEW)


def test_another_version_than_the_last_is_to_be_applied() -> None:
    assert holds(NEW, applied(OLD)).changed


def test_what_was_given_up_or_hindered_is_tried_again() -> None:
    for ending in (Ending.STOPPED, Ending.HINDERED):
        found = holds(NEW, applied(NEW, ending=ending))

        assert (found.version, found.changed) == (NEW, True)


def test_in_the_place_of_what_does_not_serve_stays_what_served_before() -> None:
    failed = applied(NEW, ending=Ending.FAILED, reason="chat#0: out of memory", number=7)

    found = holds(NEW, failed, applied(OLD, number=6))

    assert found == InForce(version=OLD, because=Because.STALLED, reason="revision 6 stays; chat#0: out of memory")


def test_what_does_not_serve_and_stands_in_for_nothing_is_left_as_it_is() -> None:
    found = holds(NEW, applied(NEW, ending=Ending.FAILED, reason="no"))

    assert (found.version, found.because, found.reason) == (None, Because.STALLED, "it is left as it is; no")


def test_a_rollback_holds_until_the_file_changes() -> None:
    back = applied(OLD, cause=Cause.ROLLBACK, instead_of=NEW.digest, who="ann@host")

    found = holds(NEW, back)

    assert (found.version, found.because, found.changed) == (OLD, Because.ROLLBACK, False)
    assert found.reason == "by ann@host, until its file changes"
    assert holds(Version(service=chat("org/newest")), back).changed


def test_a_rollback_that_failed_holds_nothing_back() -> None:
    back = applied(OLD, cause=Cause.ROLLBACK, instead_of=NEW.digest, ending=Ending.FAILED)

    assert holds(NEW, back) == InForce(version=NEW, changed=True)


def test_a_lock_beside_the_spec_counts_if_it_was_made_for_it() -> None:
    def read(locked: Entry | None, newest: Revision | None = None) -> Entry | None:
        return version_with(chat(), "chat.yaml", locked=locked, newest=newest, inputs="i").entry

    assert read(entry(16)) == entry(16)
    assert read(entry(16, inputs="other")) is None
    assert read(None) is None


def test_without_a_lock_what_was_chosen_for_the_same_spec_holds_on() -> None:
    def read(newest: Version) -> Entry | None:
        return version_with(chat(), "chat.yaml", locked=None, newest=applied(newest), inputs="i").entry

    assert read(Version(service=chat(), entry=entry())) == entry()
    assert read(Version(service=chat("org/other"), entry=entry())) is None


def test_a_revision_leads_back_to_its_version_unless_it_cannot_be_read_any_more() -> None:
    version = Version(service=chat(), entry=entry(), source="chat.yaml")

    assert version_of(applied(version)) == version
    assert version_of(revision(spec={}, cause=Cause.REMOVAL)) is None
    assert version_of(revision(spec={"metadata": {"name": "chat"}, "no": "longer"})) is None
    assert version_of(applied(version, lock="damaged: [")) is None
