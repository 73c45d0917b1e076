"""A container registry with one image in it, on loopback: enough of its protocol for an engine to pull from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@contextmanager
def registry(name: str, tag: str, *, size_bytes: int) -> Iterator[str]:
    """Serve `name:tag`, an image of one layer that does not compress, and yield `host:port`."""
    documents = _image(name, tag, size_bytes)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = documents.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _image(name: str, tag: str, size_bytes: int) -> dict[str, tuple[str, bytes]]:
    layer = _layer(size_bytes)
    zipped = gzip.compress(layer, mtime=0)
    rootfs = {"type": "layers", "diff_ids": [_digest(layer)]}
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": rootfs}
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": LAYER, "size": len(zipped), "digest": _digest(zipped)}],
        }
    ).encode()
    return {
        "/v2/": ("application/json", b"{}"),
        f"/v2/{name}/manifests/{tag}": (MANIFEST, manifest),
        f"/v2/{name}/manifests/{_digest(manifest)}": (MANIFEST, manifest),
        f"/v2/{name}/blobs/{_digest(config)}": (CONFIG, config),
        f"/v2/{name}/blobs/{_digest(zipped)}": (LAYER, zipped),
    }


def _layer(size_bytes: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("x")
        entry.size = size_bytes
        tar.addfile(entry, io.BytesIO(random.Random(1).randbytes(size_bytes)))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
