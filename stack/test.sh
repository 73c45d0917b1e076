#!/usr/bin/env bash
# Run every test this machine can run; the last lines say what was not run, and how to run it.
# With ENOVA_REQUIRE_DOCKER=1 a missing Docker engine is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

docker_answers() { stack/uv run -q --locked python -c 'import docker; docker.from_env(timeout=10).ping()' 2>/dev/null; }

echo "==> Fast tests, with coverage"
make --no-print-directory test-coverage

echo "==> Slow tests that need no Docker"
make --no-print-directory test-slow

if [[ ${ENOVA_REQUIRE_DOCKER:-} == 1 ]] || docker_answers; then
  echo "==> Tests on real Docker containers, with the real vLLM"
  make --no-print-directory test-docker
  exit
fi

count=$(ENOVA_REQUIRE_DOCKER=1 stack/uv run -q --locked pytest -q --collect-only -m "docker or vllm" 2>/dev/null | grep -c '::' || true)
echo
echo "==> NOT RUN: the tests on real Docker containers, because no Docker engine answers here (${count} tests)"
echo "    To run them: install and start Docker's engine (https://docs.docker.com/engine/install/), then: make test-docker"
