"""How good choices are, judged by what was measured: Enova's, and AIConfigurator's on the same cases.

    uv run python benchmarks/recommend_measured.py [--groups]

Rows of vLLM's closed-loop measurements in $ENOVA_SHARED/data that differ only in GPUs (tensor, data and expert
parallelism) and in how many users there are at once are ways to serve the same. A case is such a group and limits
on mean TTFT, mean TPOT or both, put between what neighbours measured. Each chooser takes the configuration that by
its own predictions has the most tokens/s per GPU, and so costs least, among those it predicts to keep the limits.
The best is the same by what was measured.

The rows can tell where some configurations keep the limits and some do not, and of those that do some are more
than 10 % worse than the best. Measurements repeat within about 10 %, so configurations measured closer to a limit,
or on both sides of it, are no candidates there; the last tables have them all. Left out too are the rows that
docs/accuracy.md names as distorted.

Prints tables, and writes the first ones into docs/recommend.md; with --groups there is one for each group.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from accuracy import DATA
from choices_measured import (
    CHOOSERS,
    EARLIER,
    ENOVA,
    LEFT_OUT,
    METRICS,
    PEER_NAME,
    Case,
    Configuration,
    Verdict,
    cases_of,
    choice,
    groups_of,
    repeated,
)
from generated import write_generated

from enova.adapters.measurements.collect import read_measurements

ROWS = DATA / "serving_latency/aiconfigurator/measured_vllm.csv"
MARGIN = 1.1
"""How far from a limit what was measured has to be, for the rows to tell on which side it is."""
OURS = CHOOSERS[:-1]
COLUMNS = (
    "chooser",
    "right",
    "and keeps limits strictly",
    "right, mean of groups",
    "no choice",
    "over a limit",
    "by, median",
    "by, most",
    "by more than the band",
    "throughput per GPU, of the best's",
)


def is_distorted(group: str, way: Configuration) -> bool:
    """Return whether first tokens reached the client long after they were made (docs/accuracy.md)."""
    return "gpt-oss-120b h100" in group and way.users == 512


def sections(groups: Mapping[str, Sequence[Configuration]]) -> Iterator[str]:
    """Yield the tables that are kept."""
    sound = without_distorted(groups)
    cases = cases_of(sound, MARGIN)
    yield from table("All cases", cases, OURS)
    yield from table("Where AIConfigurator predicts every candidate", known(cases), (ENOVA, LEFT_OUT, PEER_NAME))
    again = cases_of(repeated(sound), MARGIN)
    yield from table("Of what was measured more than once, judged by the later rows", again, (*OURS[:2], EARLIER))
    every = cases_of(groups, 1.0)
    yield from table("All rows, however close to a limit", every, OURS)
    yield from table("The same where AIConfigurator predicts every candidate", known(every), CHOOSERS)


def without_distorted(groups: Mapping[str, Sequence[Configuration]]) -> dict[str, list[Configuration]]:
    """Return the groups with what was measured as users saw it."""
    return {name: [way for way in ways if not is_distorted(name, way)] for name, ways in groups.items()}


def details(groups: Mapping[str, Sequence[Configuration]]) -> Iterator[str]:
    """Yield a table for each kind of limit and for each group."""
    cases = cases_of(without_distorted(groups), MARGIN)
    for title, metrics in (("TTFT alone", ["ttft"]), ("TPOT alone", ["tpot"]), ("both", list(METRICS))):
        yield from table(f"Limits on {title}", [case for case in cases if limited(case) == metrics], OURS)
    for group in groups:
        of_group = [case for case in cases if case.group == group]
        every = len(known(of_group)) == len(of_group)
        yield from table(group, of_group, CHOOSERS if every else OURS)


def known(cases: Sequence[Case]) -> list[Case]:
    """Return the cases of which AIConfigurator predicts every candidate."""
    return [case for case in cases if case.known_to(PEER_NAME)]


def limited(case: Case) -> list[str]:
    """Return the metrics that are limited."""
    return [metric for metric in METRICS if getattr(case.limits, metric) < math.inf]


def table(title: str, cases: Sequence[Case], choosers: Sequence[str]) -> Iterator[str]:
    """Yield a Markdown table, one line for each chooser."""
    if not cases:
        return
    yield from ("", f"**{title}**: {len(cases)} cases of {len({case.group for case in cases})} groups", "")
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for chooser in choosers:
        yield f"| {chooser} | {' | '.join(cells([choice(case, chooser) for case in cases]))} |"


def cells(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield what a chooser's verdicts amount to."""
    by_group: dict[str, list[bool]] = defaultdict(list)
    for verdict in verdicts:
        by_group[verdict.case.group].append(verdict.right)
    over = [verdict.excess for verdict in verdicts if verdict.excess]
    yield f"{share(verdict.right for verdict in verdicts):.1%}"
    yield f"{share(verdict.strict for verdict in verdicts):.1%}"
    yield f"{statistics.mean(map(share, by_group.values())):.1%}"
    yield f"{share(verdict.chosen is None for verdict in verdicts):.1%}"
    yield f"{len(over) / len(verdicts):.1%}"
    yield f"{statistics.median(over or [0.0]):.0%}"
    yield f"{max(over, default=0.0):.0%}"
    yield f"{share(bool(verdict.beyond) for verdict in verdicts):.1%}"
    yield f"{statistics.mean([min(1.0, verdict.share) for verdict in verdicts if verdict.chosen] or [0.0]):.0%}"


def share(flags: Iterable[bool]) -> float:
    """Return the share of what is true."""
    listed = list(flags)
    return sum(listed) / len(listed)


def main() -> int:
    """Print, and write what is kept."""
    if not ROWS.exists():
        print(f"error: no measurements in {ROWS}\nhint: set ENOVA_SHARED", file=sys.stderr)
        return 1
    groups = groups_of(read_measurements([str(ROWS)]).points)
    kept = "\n".join(sections(groups)).strip()
    print(kept)
    write_generated("docs/recommend.md", "benchmarks/recommend_measured.py", kept)
    if "--groups" in sys.argv:
        print("\n".join(details(groups)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
