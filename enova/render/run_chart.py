"""Recorded runs drawn over their predictions: requests running and waiting, second by second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from enova.core.accuracy.recorded_run import RecordedRun, Replayed
from enova.errors import UsageError

FORMATS = (".svg", ".png", ".pdf")


def draw_runs(runs: Sequence[tuple[RecordedRun, Replayed]], file: Path) -> None:
    """Write a figure with one panel a run. Raises UsageError without matplotlib or for another kind of file."""
    if file.suffix not in FORMATS:
        raise UsageError(f"{file.name} is of no known kind", hint=f"end it in {', '.join(FORMATS)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib", hint="install enova[charts]") from error
    import matplotlib as mpl

    # Text as text, and nothing that changes from run to run.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "enova", "font.size": 8}):
        figure = Figure(figsize=(9, 3.2 * len(runs)), layout="constrained")
        for panel, (run, replayed) in zip(figure.subplots(len(runs), 1, squeeze=False)[:, 0], runs, strict=True):
            times = [tick.at_s for tick in run.ticks]
            for name, colour in (("running", "tab:blue"), ("waiting", "tab:orange")):
                panel.plot(
                    times, [getattr(tick, name) for tick in run.ticks], color=colour, label=f"{name}, measured"
                )
                predicted = [getattr(tick, name) for tick in replayed.ticks]
                panel.plot(times, predicted, color=colour, linestyle="--", label=f"{name}, predicted")
            panel.set_title(f"{run.model} on {run.gpu}")
            panel.set_xlabel("seconds")
            panel.set_ylabel("requests")
            panel.legend(frameon=False)
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
