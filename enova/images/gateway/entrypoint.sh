#!/bin/sh
# Starts the router with the workers it was last told to remember, one URL a line, so that a restart of its
# container loses no route even while nothing else of Enova runs.
set -eu
routes=/var/lib/enova/routes
if [ -s "$routes" ]; then
  # shellcheck disable=SC2046 # URLs hold no spaces: every line is one word
  set -- "$@" --worker-urls $(cat "$routes")
fi
exec vllm-router "$@"
