#!/bin/sh
# Starts the router, and beside it what gives it back the workers it had, so that a restart of its container loses
# no route even while nothing else of Enova runs.
#
# They are not passed as --worker-urls: with those the router does not listen before one of them is healthy, and
# ends after 600 s if none is.
set -eu
if [ -s /var/lib/enova/routes ]; then
  python3 /opt/enova/restore.py "$@" &
fi
exec vllm-router "$@"
