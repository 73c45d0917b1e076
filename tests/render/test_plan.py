"""A plan as Markdown, with values that try to be more than text. Its text is tested with `enova plan`."""

from __future__ import annotations

import pytest

from enova.core.fingerprint import Change
from enova.core.plan import Action, Note, Plan, Verb
from enova.render.plan import MARKDOWN_ROWS_MAX, plan_markdown


def action(slot: int = 0, **changes: object) -> Action:
    values = {"verb": Verb.CREATE, "target": f"chat#{slot}", "service": "chat", "cause": "not found", "wave": 0}
    return Action(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a|b", "a&#124;b"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("`code`", "&#96;code&#96;"),
        ("two\nlines", "two lines"),
        ("[link](http://x)", "&#91;link&#93;(http://x)"),
    ],
)
def test_a_value_stays_text_inside_its_cell(value: str, shown: str) -> None:
    plan = Plan(actions=(action(changes=(Change("engine.x", None, value),)),))

    row = plan_markdown(plan).splitlines()[5]

    assert row == (
        f"| + | create <code>chat#0</code> | not found | <code>engine.x: (unset) -&gt; {shown}</code> |"
    )


def test_nobody_is_mentioned() -> None:
    plan = Plan(notes=(Note("chat", "ask @everyone"),))

    assert "- **note** chat: ask @&#8203;everyone\n" in plan_markdown(plan)


def test_an_impact_is_told_beside_the_cause() -> None:
    plan = Plan(actions=(action(impact="no replica serves"),))

    assert "| not found<br>no replica serves |" in plan_markdown(plan)


def test_a_long_plan_still_fits_into_a_comment() -> None:
    plan = Plan(actions=tuple(action(slot) for slot in range(5000)))

    text = plan_markdown(plan)

    assert f"| | and {5000 - MARKDOWN_ROWS_MAX} more | | |\n" in text
    assert len(text) < 65_536
