"""`enova calibrate`: what the steps of a running engine cost, from its metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.options import Color, TextOrJson, seconds_of
from enova.cli.session import Session, session_of
from enova.errors import ObserveError

if TYPE_CHECKING:
    from enova.core.engine.learnt import Learnt
    from enova.core.engine.snapshot import Snapshot

SAID_EVERY_S = 10.0


def calibrate(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Of a replica: http://127.0.0.1:8000")],
    length: Annotated[str, typer.Option("--for", help="How long to look.")] = "2m",
    every: Annotated[str, typer.Option("--every", help="How often to look; short windows tell most.")] = "1s",
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Learn from a running vLLM's metrics what its steps cost, while users or a load test keep it busy.

    Only reads /metrics. Loads that change tell most: prompts short and long, batches small and large. What
    is learnt holds for this model on this machine with these settings, at any rate and for any lengths; with
    -o json it is a file for `enova simulate --calibration`. Exits with 1 if nothing could be learnt.

    \b
    Examples:
      $ enova calibrate http://127.0.0.1:8000
      $ enova calibrate http://127.0.0.1:8000 --for 10m --every 2s -o json > chat.calibration.json
      $ enova simulate specs/chat.yaml --calibration chat.calibration.json
    """
    from enova.render.calibration import calibration_as_json, calibration_text

    session = session_of(ctx)
    learnt = _learnt(session, url, seconds_of("--for", length), seconds_of("--every", every))
    if output == "json":
        session.stdout.write(calibration_as_json(learnt))
    else:
        session.show(calibration_text(learnt), color)
    return 0


def _learnt(session: Session, url: str, length_s: float, every_s: float) -> Learnt:
    from enova.core.engine.calibration import StepCosts, calibrate
    from enova.core.engine.frontend import measured_frontend
    from enova.core.engine.learnt import Learnt
    from enova.core.engine.windows import reading_of

    engines = _looks(session, url, length_s, every_s)
    readings = [reading_of(snapshots) for snapshots in engines.values()]
    observations = [row for reading in readings for row in reading.observations]
    unknown = tuple(sorted({name for reading in readings for name in reading.unknown}))
    if not observations:
        raise ObserveError(
            f"nothing could be learnt from {url}: "
            + (f"it does not offer {', '.join(unknown)}" if unknown else "it was idle"),
            hint=None if unknown else "look for longer, or while it serves requests",
        )
    calibration = calibrate(observations)
    frontends = [measured_frontend(snapshots, calibration) for snapshots in engines.values()]
    return Learnt(
        source=url,
        taken_at=session.timestamp(),
        seconds=max(snapshots[-1].at_s - snapshots[0].at_s for snapshots in engines.values()),
        windows=sum(reading.windows for reading in readings),
        observations=len(observations),
        scatter=calibration.scatter,
        costs_s=dict(zip(StepCosts._fields, calibration.costs, strict=True)),
        covariance=tuple(map(tuple, calibration.estimate.covariance.tolist())),
        outside_s=next((frontend.before_s for frontend in frontends if frontend is not None), None),
        unknown=unknown,
    )


def _looks(session: Session, url: str, length_s: float, every_s: float) -> dict[str, list[Snapshot]]:
    """Return what each engine behind the address said, again and again; one failed look is a longer window."""
    from enova.adapters.metrics import HttpMetrics

    metrics = HttpMetrics(url.rstrip("/"), monotonic=session.monotonic)
    engines: dict[str, list[Snapshot]] = {}
    began_s = said_s = session.monotonic()
    try:
        while True:
            now_s = session.monotonic()
            try:
                for engine, snapshot in metrics.read().items():
                    engines.setdefault(engine, []).append(snapshot)
            except ObserveError as error:
                if not engines:
                    raise
                session.say(f"warning: {error.message}")
            if now_s - began_s >= length_s:
                break
            if now_s - said_s >= SAID_EVERY_S:
                said_s = now_s
                session.say(f"{now_s - began_s:.0f} of {length_s:.0f} s")
            time.sleep(max(0.0, now_s + every_s - session.monotonic()))
    finally:
        metrics.close()
    if not engines:
        raise ObserveError(f"{url} has metrics, but none of vLLM's", hint="give the address of a replica")
    return engines
