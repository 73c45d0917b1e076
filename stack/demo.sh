#!/usr/bin/env bash
# Show the whole path on this machine alone: a spec file in, replicas behind one endpoint out, and all of it gone
# again. The engine is the emulated one, in local processes: no GPU, no Docker, no model.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
spec=$work/emulated.yaml
export ENOVA_STATE_DIR=$work/state
applied=

enova() { stack/uv run -q --locked enova "$@"; }

step() { printf '\n==> %s\n' "$*"; }

# Runs at the end, on failure and on Ctrl-C alike.
clean_up() {
  local code=$?
  trap - EXIT
  trap '' INT TERM  # a second Ctrl-C must not leave processes behind
  if [[ -n $applied ]]; then
    step "Cleaning up: enova delete --yes"
    if ! enova delete "$spec" --yes; then
      echo "error: could not clean up; what is left is recorded in $ENOVA_STATE_DIR" >&2
      echo "hint: ENOVA_STATE_DIR=$ENOVA_STATE_DIR uv run enova delete $spec --yes" >&2
      exit 1
    fi
  fi
  rm -rf "$work"
  if [[ $code == 0 ]]; then printf '\nThat was all of it. Next: enova init MODEL, or read specs/\n'; fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Print the port the spec's gateway gets: the one asked for if it is free, else one the system picks.
free_port() {
  stack/uv run -q --locked python - "$1" <<'PY'
import socket
import sys

for port in (int(sys.argv[1]), 0):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(listener.getsockname()[1])
        break
PY
}

# Print the spec with its gateway on another port.
on_port() {
  stack/uv run -q --locked python - "$1" "$2" <<'PY'
import pathlib
import sys

from ruamel.yaml import YAML

yaml = YAML()
spec = yaml.load(pathlib.Path(sys.argv[1]))
spec.setdefault("gateway", {})["port"] = int(sys.argv[2])
yaml.dump(spec, sys.stdout)
PY
}

complete() {
  stack/uv run -q --locked python - "$1" <<'PY'
import json
import sys

import httpx

with httpx.Client(base_url=sys.argv[1], timeout=30, trust_env=False) as client:
    model = client.get("/v1/models").raise_for_status().json()["data"][0]["id"]
    body = {"model": model, "prompt": "Say hello", "max_tokens": 16}
    print("POST", f"{sys.argv[1]}/v1/completions", json.dumps(body))
    answer = client.post("/v1/completions", json=body).raise_for_status().json()
text = answer["choices"][0]["text"]
if not text:
    sys.exit(f"error: an empty answer: {answer}")
print("answer:", text)
print("usage: ", json.dumps(answer["usage"]))
PY
}

cp specs/emulated.yaml "$spec"
port=$(free_port 9199)
if [[ $port != 9199 ]]; then
  echo "Port 9199 is taken by another program: the demo uses $port"
  on_port specs/emulated.yaml "$port" >"$spec"
fi

step "The spec: specs/emulated.yaml"
grep -v '^#' "$spec"

step "enova apply: start the replicas and the gateway"
applied=yes
enova apply "$spec" --yes

step "A completion through the gateway"
complete "http://127.0.0.1:$port"

step "enova plan: nothing left to do"
enova plan "$spec"

step "enova status"
enova status "$spec"
