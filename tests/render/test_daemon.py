"""A daemon's report, for people."""

from __future__ import annotations

from enova.core.watch.report import ServiceReport
from enova.render.daemon import daemon_text
from tests.core.watch.test_report import report


def test_all_that_is_not_simply_in_sync_is_told() -> None:
    told = report(
        since_s=1_800_000_000.0,
        revision="abc (Ann: Serve)",
        last_good="aaa (Ann: Before)",
        problems=("chat.yaml:1:1: broken",),
        unseen=("docker: gone",),
        refusal="no spec is left of code: nothing is removed",
        services={
            "chat": ServiceReport(in_force="stalled", reason="revision 1 stays; chat#0: it \x1b[31mended"),
            "code": ServiceReport(in_force="as written", doing=("+ create code#0",), waits="again in 5 s"),
            "live": ServiceReport(
                in_force="as written", traffic="4 requests/s arrive", unmeasured=("live#1: gone",)
            ),
            "fine": ServiceReport(in_force="as written"),
        },
    )

    assert daemon_text(told, alive=True, now_s=62.0).plain == (
        "/specs  kept by pid 1 on host since 2027-01-15 08:00:00 UTC; looked 1m ago\n"
        "  revision: abc (Ann: Serve)\n"
        "  last good revision: aaa (Ann: Before)\n"
        "  problem: chat.yaml:1:1: broken\n"
        "  not seen: docker: gone\n"
        "  refused: no spec is left of code: nothing is removed\n"
        "  chat: stalled: revision 1 stays; chat#0: it ended\n"
        "  code: doing: + create code#0\n"
        "  code: waits: again in 5 s\n"
        "  live: now: 4 requests/s arrive\n"
        "  live: not measured: live#1: gone\n"
        "\n"
    )


def test_of_one_that_ended_only_that_is_told() -> None:
    told = report(problems=("chat.yaml:1:1: broken",))

    assert daemon_text(told, alive=False, now_s=7202.0).plain == (
        "/specs  kept by nobody now: pid 1 on host looked last 2h ago\n\n"
    )


def test_an_adviser_is_called_one() -> None:
    told = report(
        advisory=True, services={"chat": ServiceReport(in_force="as written", would=("+ create chat#0",))}
    )

    text = daemon_text(told, alive=True, now_s=2.0).plain

    assert "(advisory: it only says what it would do)" in text
    assert "  chat: would do: + create chat#0\n" in text
