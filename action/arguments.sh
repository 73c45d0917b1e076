# Sourced by the steps of action.yml: what the action was given, as words for a command line, in `paths` and `options`.
# shellcheck shell=bash disable=SC2034
paths=() options=()
while IFS= read -r path; do if [[ -n $path ]]; then paths+=("$path"); fi; done <<<"$PATHS"
if [[ -n ${INVENTORY:-} ]]; then options+=(--inventory "$INVENTORY"); fi
if [[ ${LOCKED:-} == true ]]; then options+=(--locked); fi
if [[ ${PRUNE:-} == true ]]; then options+=(--prune); fi
