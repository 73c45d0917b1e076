"""Which program an instance runs, with which words and in which environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from enova.adapters.processes.alive import MARK
from enova.adapters.processes.record import Record
from enova.core.argv import router_words, words
from enova.core.launch import Kind
from enova.errors import ApplyError

PASSED_ON = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "HF_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
}  # fmt: skip
"""What a process gets from the environment of whoever starts it: how this machine is set up, and nothing more. One
service must not see another's secrets; a VLLM_API_KEY meant for one would lock all the others."""
PASSED_ON_PREFIXES = ("LC_", "XDG_")


def path_of(kind: Kind) -> str:
    """Return the program's path; raise ApplyError if it is not installed."""
    if kind is Kind.EMULATED:
        return sys.executable
    name, hint = {
        Kind.VLLM: ("vllm", "install it with `uv pip install 'enova[vllm]'`, or set engine.kind: emulated"),
        Kind.ROUTER: ("vllm-router", "install it with `uv pip install vllm-router`"),
    }[kind]
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ApplyError(f"the program {name} is neither beside {sys.executable} nor on PATH", hint=hint)
    return str(Path(found).absolute())


def argv(record: Record) -> list[str]:
    """Return the command line of an instance."""
    listen = ["--host", record.host, "--port", str(record.port)]
    program = path_of(record.kind)
    if record.kind is Kind.ROUTER:
        return [program, *listen, "--prometheus-port", str(record.metrics_port), *router_words(record.args)]
    serve = ["-m", "enova.emulator"] if record.kind is Kind.EMULATED else ["serve"]
    return [program, *serve, record.model, *listen, *words(record.args)]


def environment(record: Record, secrets: Mapping[str, str], mark: str) -> dict[str, str]:
    """Return the environment of an instance."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    # No devices means no GPU: an engine must not take one that was not given to it.
    devices = {"CUDA_VISIBLE_DEVICES": ",".join(record.devices)} if record.kind is Kind.VLLM else {}
    # vLLM renames its workers, and the library it uses would overwrite their environment, mark included.
    marks = {MARK: mark, "SPT_NOENV": "1"}
    return {**passed_on, "PYTHONUNBUFFERED": "1", **record.env, **secrets, **devices, **marks}
