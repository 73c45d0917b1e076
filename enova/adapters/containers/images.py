"""Having an image on this host: it is there, or pulled, or built (the gateway's, which no registry hosts)."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enova.adapters.containers.failures import hint_for
from enova.core.launch import Kind, Launch
from enova.core.runtime import Report
from enova.errors import ApplyError

if TYPE_CHECKING:
    from docker import APIClient

GATEWAY = "enova/gateway"
GATEWAY_BASE = "python:3.12-slim-bookworm"
"""Any Debian with apt, or anything that has python3 with venv and pip."""
FILES_LABEL = "enova.files"
"""On a gateway image: the digest of the files it was built from. stack/images/build.sh sets it too."""
_FOLDER = Path(__file__).parents[2] / "images" / "gateway"


def image_of(launch: Launch) -> str:
    """Return the image a launch runs. The gateway's own has the router's version for a tag."""
    if launch.image:
        return launch.image
    if launch.kind is Kind.ROUTER:
        from importlib.metadata import version  # costs more than a look, which does not need it

        return f"{GATEWAY}:{version('vllm-router')}"
    raise ApplyError(f"{launch.target}: no image to run {launch.kind} in Docker", hint="set engine.image")


def ensure(client: APIClient, image: str, report: Report, gateway_base: str = GATEWAY_BASE) -> None:
    """Make sure the image is here. One that is here is used as it is, without asking any registry.

    A gateway's that an Enova with other files built is built anew; one that says nothing of them is used too.
    """
    from docker.errors import ImageNotFound

    repository, _, tag = image.partition(":")
    try:
        labels = client.inspect_image(image)["Config"].get("Labels") or {}  # type: ignore[no-untyped-call]
    except ImageNotFound:
        if repository != GATEWAY:
            pull(client, image, report)
            return
        labels = {FILES_LABEL: "none"}
    if repository == GATEWAY and labels.get(FILES_LABEL, files_digest()) != files_digest():
        build_gateway(client, tag, report, gateway_base)


def pull(client: APIClient, image: str, report: Report) -> None:
    """Pull from the registry in the image's name, reporting per cent of the bytes known so far."""
    repository, tag = _split(image)
    report(f"pulling {image}")
    layers: dict[str, tuple[int, int]] = {}
    shown = 0
    for event in _events(client.pull(repository, tag=tag, stream=True, decode=True), f"pull {image}"):
        progress = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and progress.get("total"):
            layers[event["id"]] = (progress["current"], progress["total"])
        elif event.get("status") == "Download complete" and event.get("id") in layers:
            layers[event["id"]] = (layers[event["id"]][1],) * 2
        else:
            continue
        percent = 100 * sum(done for done, _ in layers.values()) // sum(total for _, total in layers.values())
        if percent > shown:
            shown = percent
            report(f"pulling {image}: {percent} %")
    report(f"pulled {image}")


def build_gateway(client: APIClient, tag: str, report: Report, base: str = GATEWAY_BASE) -> None:
    """Build `enova/gateway:TAG`, the tag being the router's version, from the files in enova/images/gateway.

    A CA bundle named by PIP_CERT or SSL_CERT_FILE is lent to pip during the build, and does not stay in the image.
    """
    image = f"{GATEWAY}:{tag}"
    report(f"building {image}")
    events = client.build(
        fileobj=_context(),
        custom_context=True,
        tag=image,
        buildargs={"BASE": base, "ROUTER_VERSION": tag},
        labels={FILES_LABEL: files_digest()},
        rm=True,
        forcerm=True,
        decode=True,
    )
    for event in _events(events, f"build {image}"):
        line = str(event.get("stream", "")).strip()
        if line.startswith("Step "):
            report(f"building {image}: {line.partition(' : ')[0].lower()}")
    report(f"built {image}")


def files_digest() -> str:
    """Return what `cat * | sha256sum` says in the gateway image's folder."""
    return hashlib.sha256(b"".join(_files().values())).hexdigest()


def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.is_file()}


def _context() -> io.BytesIO:
    files = _files()
    bundle = Path(os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or "")
    if bundle.is_file():
        files["ca.pem"] = bundle.read_bytes()
    return archive(files, mode=0o755)


def archive(files: Mapping[str, bytes], mode: int = 0o644) -> io.BytesIO:
    """Return a tar of the files, equal for equal content."""
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def _events(stream: Iterable[Any], action: str) -> Iterable[dict[str, Any]]:
    """Pass the engine's progress on; it reports a failure as one more line of it."""
    for event in stream:
        if reason := event.get("error"):
            raise ApplyError(f"{action}: {reason}", hint=hint_for(str(reason)))
        yield event


def _split(image: str) -> tuple[str, str | None]:
    """Split off the tag. A digest stays with the name, and the colon of a registry's port is not a tag's."""
    repository, colon, tag = image.rpartition(":")
    if "@" in image:
        return image, None
    return (repository, tag) if colon and "/" not in tag else (image, "latest")
