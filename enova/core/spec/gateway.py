"""The endpoint users call: where it listens, how it spreads requests, and what it does when a replica fails."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from enova.core.spec.fault import Fault
from enova.core.spec.fields import Matching, PositiveDuration, Secret, Section, Word, key, section

Port = Annotated[int, Field(ge=1, le=65_535)]
Times = Annotated[int, Field(ge=1, le=10_000)]


def _address(host: str) -> str:
    """Return the same address for the same place, so that two ways to write it do not differ."""
    return "127.0.0.1" if host == "localhost" else host


def _starts_empty(policy: object) -> object:
    if policy == "power_of_two":
        raise Fault(
            "power_of_two is not possible: the router does not start with it before it has two workers",
            hint="cache_aware follows the load of replicas too; round_robin adds the least latency",
        )
    return policy


Host = Annotated[
    str,
    Matching(
        r"^[A-Za-z0-9:][A-Za-z0-9.:_-]{0,252}$", "a host name or an IP address", "127.0.0.1, or 0.0.0.0 for all"
    ),
    AfterValidator(_address),
]
Policy = Annotated[
    Literal["round_robin", "random", "cache_aware", "consistent_hash", "sticky_least_loaded"],
    BeforeValidator(_starts_empty),
]
Header = Annotated[
    str, Matching(r"^[A-Za-z0-9-]{1,100}$", "the name of an HTTP header", "for example x-request-id")
]


class Retries(Section):
    """What happens to a request that a replica did not answer."""

    max: Annotated[int, Field(ge=0, le=100)] | None = key("Most retries of one request; 0 is none.", 3)
    initial_backoff: PositiveDuration | None = key("Pause before the first retry.", "50ms")
    max_backoff: PositiveDuration | None = key("Longest pause between retries.", "5s")

    @model_validator(mode="after")
    def _in_order(self) -> Retries:
        if self.initial_backoff and self.max_backoff and self.max_backoff < self.initial_backoff:
            raise Fault(f"must be at least initial_backoff ({self.initial_backoff})", path=("max_backoff",))
        return self


class CircuitBreaker(Section):
    """When a replica that keeps failing gets no requests for a while."""

    enabled: bool | None = key("Whether failing replicas are left alone at all.", True)
    failures: Times | None = key("Failures in a row that open the circuit.", 5)
    successes: Times | None = key("Successes in a row that close it again.", 2)
    cooldown: PositiveDuration | None = key("How long a replica is left alone.", "30s")
    window: PositiveDuration | None = key("Time within which failures count.", "1m")


class HealthCheck(Section):
    """How the gateway watches its replicas."""

    interval: PositiveDuration | None = key("Time between two checks.", "10s")
    timeout: PositiveDuration | None = key("How long one check may take.", "5s")
    failures: Times | None = key("Failed checks in a row until a replica gets no requests.", 3)
    successes: Times | None = key("Good checks in a row until it gets requests again.", 2)


class Gateway(Section):
    """One router for each service; it goes on serving when Enova is not running."""

    host: Host = key(
        "Address to listen on; the default is reachable from this machine only.", "192.0.2.10", "127.0.0.1"
    )
    port: Port = key("Port of the OpenAI-compatible endpoint.", 9199, 9199)
    metrics_port: Port | None = key("Port of the router's own metrics; unset is chosen by Enova.", 29000)
    image: Word | None = key("Container image of the router.", "vllm/vllm-router:v0.1.17")
    policy: Policy | None = key("How requests are spread over replicas.", "cache_aware")
    api_key: Secret | None = key("Where the key that clients must send is found.", {"env": "CHAT_API_KEY"})
    request_timeout: PositiveDuration | None = key(
        "Longest one attempt may take, its whole stream included, which is cut then; an answer not yet begun is "
        "tried again on the next replica. Keep it well above the longest request.",
        "30m",
    )
    max_concurrent_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = key(
        "Most requests whose answer has not begun; streams under way do not count, and most of what is over it is "
        "refused (408 or 429). Best left unset: vLLM queues better.",
        512,
    )
    queue_size: Annotated[int, Field(ge=0, le=1_000_000)] | None = key(
        "Places to wait in once max_concurrent_requests is reached; 0 answers 429 at once. Most that wait "
        "get 408 before queue_timeout.",
        100,
    )
    queue_timeout: PositiveDuration | None = key(
        "Longest wait in the queue; the router gives up most requests sooner, with 408.", "1m"
    )
    retries: Retries = section("What happens to a request that a replica did not answer.", Retries, {"max": 3})
    circuit_breaker: CircuitBreaker = section(
        "When a replica that keeps failing gets no requests.", CircuitBreaker, {"failures": 5, "cooldown": "30s"}
    )
    health_check: HealthCheck = section("How replicas are watched.", HealthCheck, {"interval": "10s"})
    request_id_headers: Annotated[tuple[Header, ...], Strict(strict=False)] = key(
        "Headers that carry a request's id.", ["x-request-id"], (), min_length=1, max_length=32
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = key("How much the router logs.", "info")

    @model_validator(mode="after")
    def _two_ports(self) -> Gateway:
        if self.metrics_port == self.port:
            raise Fault(f"must differ from port ({self.port})", path=("metrics_port",))
        return self
