"""From what a run of load is aimed at to what answers there, and to what is known of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enova.cli.choosing import choosing
from enova.cli.specs import given_paths, load_files
from enova.errors import ObserveError, UsageError

if TYPE_CHECKING:
    from enova.adapters.endpoint import Endpoint
    from enova.cli.session import Session
    from enova.core.spec import Service
    from enova.outlook import Running

NOT_A_SERVICE = "it is an address, and what runs behind it is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is asked, by what traffic, and what is known of it."""

    name: str
    """Of the service, or the address."""
    endpoint: Endpoint
    key: str | None
    service: Service
    """Its spec; of an address one that says nothing but traffic and promises."""
    named: bool
    """Whether there is a spec, so that nothing is assumed of its traffic."""
    runs: Running | str
    """What can be simulated; or why nothing can."""
    replicas: int = 1
    fingerprint: str = ""
    answers: bool = True
    """Whether it could be looked at."""


def aim_of(
    session: Session, target: str, *, profile: Path | None, model: str | None, key_variable: str | None
) -> Aim:
    """Return what a target on the command line means.

    Raises:
        UsageError: there is no such service, or the options do not go together.
        SpecError: specs or a profile with mistakes.
        ObserveError: it could not be looked at, or does not run.
    """
    if "://" in target:
        return _of_address(session, target, profile=profile, model=model, key_variable=key_variable)
    if key_variable is not None:
        raise UsageError("--api-key-env is for addresses", hint="a service's key is the one its spec names")
    return _of_service(session, target, profile)


def _of_address(
    session: Session, url: str, *, profile: Path | None, model: str | None, key_variable: str | None
) -> Aim:
    from enova.adapters.endpoint import Endpoint, base_of, look_at
    from enova.core.spec import Service

    key = session.environment.get(key_variable) if key_variable else None
    if key_variable and not key:
        raise UsageError(f"the environment variable {key_variable} is not set", hint=f"export {key_variable}=…")
    service = Service.model_validate({"metadata": {"name": "endpoint"}, "model": "some/model"})
    service, named = _with_profile(service, profile)
    base = base_of(url)
    answers = True
    try:
        endpoint = look_at(base, key)
    except ObserveError as error:
        answers = False
        if model is None:
            raise
        # Whoever names the model may want to see how a server fails.
        session.say(f"warning: {error.message}")
        endpoint = Endpoint(url=base, models=(model,), vllm=None, emulated=False)
    return Aim(
        name=base,
        endpoint=endpoint,
        key=key,
        service=service,
        named=named,
        runs=NOT_A_SERVICE,
        answers=answers,
    )


def _of_service(session: Session, target: str, profile: Path | None) -> Aim:
    from enova.injecting import deployed

    is_path = "/" in target or target.endswith((".yaml", ".yml")) or Path(target).is_file()
    given = given_paths([target] if is_path else None)
    files = load_files(given, session)
    fitting = [file.service for file in files if is_path or file.service.name == target]
    if len(fitting) != 1:
        raise _not_one(target, [file.service.name for file in files], is_path=is_path)
    how = choosing(session, files, given, None)
    found = deployed(fitting[0], session.world(), how.knowledge, how.locks.entries)
    service, _ = _with_profile(fitting[0], profile)
    return Aim(
        name=service.name,
        endpoint=found.endpoint,
        key=found.key,
        service=service,
        named=True,
        runs=found.runs,
        replicas=found.replicas,
        fingerprint=found.fingerprint,
    )


def _not_one(target: str, names: list[str], *, is_path: bool) -> UsageError:
    if is_path:
        return UsageError(f"{target} holds {len(names)} services", hint=f"name one: {', '.join(sorted(names))}")
    near = difflib.get_close_matches(target, names, 1)
    hint = f"did you mean {near[0]}?" if near else "name one of ./specs, a spec file, or an address http://…"
    return UsageError(f"there is no service {target} in ./specs", hint=hint)


def _with_profile(service: Service, profile: Path | None) -> tuple[Service, bool]:
    """Return the service with a profile's traffic, and its promises if it has some; and whether there is one."""
    from enova.adapters.specfiles import read_profile

    if profile is None:
        return service, False
    found = read_profile(profile)
    changed = {name: getattr(found, name) for name in found.model_fields_set}
    return service.model_copy(update=changed), True
