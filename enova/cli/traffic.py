"""From options and specs to the load that is simulated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.core.simulate.forecast import Conditions
    from enova.core.simulate.promises import Promise
    from enova.core.simulate.results import ModelError
    from enova.core.spec import Duration, Injection, Service
    from enova.core.workload.load import Load

PROMPT_TOKENS, OUTPUT_TOKENS = 512, 128
"""Of traffic that no spec describes and no option says more about."""
MAX_RATE = 1e6
MAX_RATES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What options say about traffic; None leaves it to the spec."""

    rate: float | None = None
    users: int | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None
    duration: str | None = None
    warmup: str | None = None
    seed: int | None = None
    promises: tuple[str, ...] = ()

    def load(self, service: Service, *, named: bool, texts: bool = False) -> Load:
        """Return the load of a service. `named`: it comes from a spec, so that nothing is assumed.

        `texts`: the prompts of datasets are wanted too.

        Raises:
            UsageError: options that do not go together, or traffic that is not known.
            RecordingError: a trace or a dataset with mistakes.
        """
        from enova.adapters.traces import read_recording
        from enova.core.workload.load import files_of, load_of
        from enova.core.workload.rates import at_rate, rate_of

        if self.rate is not None and self.users is not None:
            raise UsageError("--rate and --concurrency do not go together", hint="leave one out")
        if self.rate is not None and not 0 < self.rate <= MAX_RATE:
            raise UsageError(f"--rate: must be above 0 and at most {MAX_RATE:,.0f}")
        injection = self._injection(service.injection, assume=not named)
        recordings = {file: read_recording(file, texts=texts) for file in files_of(injection)}
        try:
            load = load_of(injection, seed=self.seed, recordings=recordings)
        except UsageError as error:
            place = f"{service.name}: " if named else ""
            hint = "say it in the spec, or with --rate or --concurrency, --prompt-tokens and --output-tokens"
            raise UsageError(f"{place}{error.message}", hint=hint) from error
        return load if self.rate is None or rate_of(load) == self.rate else at_rate(load, self.rate)

    def conditions(self, service: Service, load: Load, error: ModelError) -> Conditions:
        """Return how it is run, with the promises of the spec and those given as options."""
        from enova.core.simulate.changes import retries_of
        from enova.core.simulate.forecast import Conditions, settled
        from enova.core.simulate.promises import promises_of

        given = {(promise.metric, promise.statistic): promise for promise in map(_promise, self.promises)}
        kept = [promise for promise in promises_of(service.slo) if promise[:2] not in given]
        conditions = Conditions(
            policy=service.gateway.policy or "round_robin",
            retries=retries_of(service.gateway),
            requests=self.requests,
            promises=(*kept, *given.values()),
            availability=service.slo.availability and service.slo.availability.fraction,
            error=error,
            sensitivity=True,
        )
        conditions = settled(load, conditions)
        if self.warmup is None:
            return conditions
        return replace(conditions, warmup_s=float(_duration("--warmup", self.warmup)))

    def _injection(self, injection: Injection, *, assume: bool) -> Injection:
        from enova.core.spec import Rate
        from enova.core.spec.injection import ClosedLoop, Fixed, Poisson

        if injection.classes and (self.prompt_tokens or self.output_tokens):
            raise UsageError("the spec's classes have lengths of their own", hint="change them there")
        changed: dict[str, Any] = {}
        if self.users is not None:
            changed["arrival"] = ClosedLoop(process="closed_loop", users=self.users)
        elif self.rate is not None and (injection.arrival is None or injection.arrival.process == "closed_loop"):
            changed["arrival"] = Poisson(process="poisson", rate=Rate(self.rate))
        lengths = {
            "prompt_tokens": self.prompt_tokens or (PROMPT_TOKENS if assume else None),
            "output_tokens": self.output_tokens or (OUTPUT_TOKENS if assume else None),
        }
        changed |= {name: Fixed(distribution="fixed", tokens=tokens) for name, tokens in lengths.items() if tokens}
        if self.prompt_tokens:
            changed["dataset"] = None
        if self.duration is not None:
            changed["duration"] = _duration("--duration", self.duration)
            if not changed["duration"]:
                raise UsageError("--duration: must be longer than 0s")
        return injection.model_copy(update=changed)


def rates_in(text: str) -> tuple[float, ...]:
    """Return the rates that `A:B:N` stands for: N of them, evenly from A to B requests per second."""
    try:
        first, last, count = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(f"--rates: {text} is not of the form A:B:N", hint="for example 1:20:10") from None
    if not 0 < first < last <= MAX_RATE or not 2 <= count <= MAX_RATES or not count.is_integer():
        words = f"--rates: A must be above 0, B above A, and N a whole number from 2 to {MAX_RATES}"
        raise UsageError(words, hint="for example 1:20:10")
    steps = int(count) - 1
    return tuple(first + (last - first) * step / steps for step in range(steps + 1))


def _promise(text: str) -> Promise:
    from enova.core.simulate.promises import promises_of
    from enova.core.spec import Slo

    key, _, target = text.partition("=")
    metric, _, statistic = key.strip().partition(".")
    if metric not in ("ttft", "tpot", "itl", "e2e") or statistic not in ("p50", "p90", "p95", "p99", "p99_9"):
        raise UsageError(f"--slo: {text} is not a promise", hint="write it like ttft.p95=500ms")
    wanted = _duration("--slo", target.strip())
    if not wanted:
        raise UsageError(f"--slo: {text}: must be longer than 0s")
    return promises_of(Slo.model_validate({metric: {statistic: wanted}}))[0]


def _duration(option: str, text: str) -> Duration:
    from enova.core.spec import Duration
    from enova.core.spec.fault import Fault

    try:
        return Duration.parse(text)
    except Fault as fault:
        raise UsageError(f"{option}: {fault.message}", hint=fault.hint) from None
