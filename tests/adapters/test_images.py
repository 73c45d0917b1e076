"""The gateway's image is built again when the files it is made of changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from enova.adapters.containers.images import FILES_LABEL, ensure, files_digest
from enova.errors import ApplyError

FOLDER = Path(__file__).parents[2] / "enova" / "images" / "gateway"
IMAGE = "enova/gateway:enova-test-files"
NO_BASE = "127.0.0.1:1/no/such:base"


def test_the_digest_is_the_one_the_build_script_makes() -> None:
    command = "for f in *; do [ -f $f ] && cat $f; done | sha256sum"
    shown = subprocess.run(["sh", "-c", command], cwd=FOLDER, env={"LC_ALL": "C"}, capture_output=True, check=True)

    assert shown.stdout.split()[0].decode() == files_digest()


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    found = docker.APIClient(version="auto")
    yield found
    found.remove_image(IMAGE)
    found.close()


def stage(client: docker.APIClient, label: str | None) -> None:
    lines = [f"LABEL {FILES_LABEL}={label}"] if label else ["LABEL other=1"]
    client.import_image_from_data(
        b"\0" * 1024, repository=IMAGE.partition(":")[0], tag="enova-test-files", changes=lines
    )


@pytest.mark.docker
@pytest.mark.parametrize("label", [files_digest(), None], ids=["of these files", "somebody's own"])
def test_an_image_that_fits_is_used_as_it_is(client: docker.APIClient, label: str | None) -> None:
    stage(client, label)
    told: list[str] = []

    ensure(client, IMAGE, told.append, NO_BASE)

    assert told == []


@pytest.mark.docker
def test_an_image_of_other_files_is_built_anew(client: docker.APIClient) -> None:
    stage(client, "0000")
    told: list[str] = []

    with pytest.raises(ApplyError, match=f"build {IMAGE}"):
        ensure(client, IMAGE, told.append, NO_BASE)

    assert told[0] == f"building {IMAGE}"
