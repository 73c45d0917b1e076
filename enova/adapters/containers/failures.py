"""Docker's failures in words a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from enova.errors import ApplyError, ObserveError

_HINTS = (
    (("port is already allocated", "address already in use"),
     "something else listens there: `docker ps` or `ss -ltnp` shows what; end it or choose another port"),
    (("could not select device driver", "nvidia-container"),
     "Docker cannot hand out GPUs: install the NVIDIA Container Toolkit and restart Docker"),
    (("no space left", "disk quota exceeded"), "free some space; `docker system df` shows what Docker uses"),
    (("bind source path does not exist",), "create the folder on this host first, or name a volume instead"),
    (("pull access denied", "manifest unknown", "not found: manifest", "repository does not exist"),
     "check the image's name and tag, and `docker login` if it is private"),
    (("lookup ", "i/o timeout", "tls handshake", "connection refused", "no route to host"),
     "the registry cannot be reached: check the network and Docker's proxy settings, or `docker load` it"),
    (("cannot assign requested address",), "this host has no such address: `ip addr` shows which it has"),
    (("address pools",), "too many Docker networks: `docker network prune` removes the unused ones"),
)  # fmt: skip


_START_IT = "start it (`systemctl start docker`), or set DOCKER_HOST to where it listens"
_PERMISSION = "this user may not talk to it: add them to the `docker` group, or use rootless Docker"


@contextmanager
def doing(action: str, where: str) -> Iterator[None]:
    """Turn a refusal by the engine into an ApplyError naming `action`, and silence into an ObserveError."""
    from docker.errors import APIError

    with looking(where):
        try:
            yield
        except APIError as error:
            reason = str(error.explanation or error)
            raise ApplyError(f"{action}: {reason}", hint=hint_for(reason)) from error


@contextmanager
def looking(where: str) -> Iterator[None]:
    """Turn everything that keeps us from seeing into an ObserveError."""
    from docker.errors import APIError, DockerException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as error:
        raise ObserveError(f"Docker at {where} could not answer: {error.explanation or error}") from error
    except (DockerException, HTTPError, OSError) as error:
        raise unreachable(where, error) from error


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """Let something vanish, or be on its way out, while it was to be stopped or removed."""
    from docker.errors import APIError, NotFound

    try:
        yield
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409 or "already in progress" not in str(error.explanation):
            raise


def unreachable(where: str, error: BaseException) -> ObserveError:
    """Return the error for a daemon that does not answer, with the reason at the bottom of the chain."""
    chain = list(_chain(error))
    cause = next((e for e in reversed(chain) if isinstance(e, OSError) and e.strerror), chain[-1])
    reason = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    denied = any(isinstance(e, PermissionError) for e in chain)
    return ObserveError(
        f"the Docker daemon could not be reached at {where}: {reason}", hint=_PERMISSION if denied else _START_IT
    )


def hint_for(reason: str) -> str | None:
    """Return what to do about a reason the engine gave, if it is a known one."""
    said = reason.lower()
    return next((hint for signs, hint in _HINTS if any(sign in said for sign in signs)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it came from; requests and urllib3 hide the first cause among their arguments."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        at = todo.pop(0)
        if not isinstance(at, BaseException) or at in seen:
            continue
        seen.append(at)
        yield at
        todo += [*at.args, at.__cause__, at.__context__]
