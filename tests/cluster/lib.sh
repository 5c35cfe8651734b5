# Names, paths and versions that every script of the test cluster shares, and the few
# verbs they all use. Sourced, never run; it starts nothing and changes nothing by itself.
# shellcheck shell=bash disable=SC2034

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(cd "$CLUSTER_DIR/../.." && pwd -P)

# One cluster per checkout: the name is derived from its path, so that two run side by side.
CLUSTER=rollpin-$(printf %s "$CHECKOUT" | sha256sum | cut -c1-8)
CACHE=${ROLLPIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rollpin}
# Compiled dependencies are shared between checkouts; programs stay in each checkout's own target folder.
export CARGO_BUILD_BUILD_DIR=${CARGO_BUILD_BUILD_DIR:-$CACHE/build}
STATE=${ROLLPIN_STATE:-/var/lib/rollpin}/$CLUSTER
NETNS=/run/netns/$CLUSTER
KUBECONFIG_FILE=$STATE/admin.kubeconfig

# The addresses are the same in every cluster: each has a network namespace of its own.
NODE_IP=198.18.1.1
SERVICE_RANGE=10.96.0.0/16
GATEWAY_PORT=8000

# The version of a Go tool stands once, in its go.mod.
module_version() { # folder under tools/, module
  awk -v m="$2" '$1 == m || ($1 == "require" && $2 == m) { v = $NF == "indirect" ? $(NF-2) : $NF; sub(/^v/, "", v); print v; exit }' \
    "$CLUSTER_DIR/tools/$1/go.mod"
}
KUBERNETES_VERSION=$(module_version kubernetes k8s.io/kubernetes)
ETCD_VERSION=$(module_version etcd go.etcd.io/etcd/server/v3)
ENVOY_GATEWAY_VERSION=$(module_version envoy-gateway github.com/envoyproxy/gateway)
GATEWAY_API_VERSION=$(module_version envoy-gateway sigs.k8s.io/gateway-api)
COREDNS_VERSION=$(module_version coredns github.com/coredns/coredns)
HELM_VERSION=$(module_version helm helm.sh/helm/v4)
ENVOY_VERSION=1.40.0
CARGO_DENY_VERSION=0.20.2
PAUSE_VERSION=1

KUBERNETES=$CACHE/kubernetes-$KUBERNETES_VERSION
ETCD=$CACHE/etcd-$ETCD_VERSION
ENVOY_GATEWAY=$CACHE/envoy-gateway-$ENVOY_GATEWAY_VERSION
GATEWAY_CRDS=$CACHE/gateway-crds-$GATEWAY_API_VERSION-$ENVOY_GATEWAY_VERSION
ENVOY=$CACHE/envoy-$ENVOY_VERSION
COREDNS=$CACHE/coredns-$COREDNS_VERSION
HELM=$CACHE/helm-$HELM_VERSION
CARGO_DENY=$CACHE/cargo-deny-$CARGO_DENY_VERSION
PAUSE=$CACHE/pause-$PAUSE_VERSION
PAUSE_IMAGE=rollpin.local/pause:$PAUSE_VERSION

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

need_root() {
  [[ $(id -u) == 0 ]] || die "$1 needs root (network namespaces, mounts and cgroups); run it with sudo"
}

# True when the first process of this checkout's node is alive. A number that was given to
# another process since then is told apart by its network namespace.
node_pid() {
  local pid
  pid=$(cat "$STATE/node.pid" 2>/dev/null) || return 1
  [[ -e $NETNS && $(stat -Lc %i "/proc/$pid/ns/net" 2>/dev/null) == $(stat -Lc %i "$NETNS") ]] || return 1
  echo "$pid"
}

in_net() { nsenter --net="$NETNS" -- "$@"; }

# Runs a command among the node's own processes and mounts.
in_node() {
  local pid
  pid=$(node_pid) || die "the cluster of $CHECKOUT is not up; run: make cluster"
  nsenter --target "$pid" --net --mount --pid -- "$@"
}

kubectl() { in_net "$KUBERNETES/kubectl" --kubeconfig "$KUBECONFIG_FILE" "$@"; }

# Waits until a command succeeds; fails, with what it waited for, after that many seconds.
wait_for() { # what, seconds, command...
  local what=$1 limit=$2 start=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS - start < limit)) || die "$what: not within $limit s; the logs lie in $STATE/logs"
    sleep 0.1
  done
}

# Where each cgroup hierarchy is mounted: many on v1, one on v2.
cgroup_mounts() { findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET; }

# Nobody else may bring this cluster up or down meanwhile. The lock ends with the script.
lock_cluster() {
  exec 9>"/run/$CLUSTER.lock"
  flock -n 9 || { say "waiting for another make cluster or cluster-down of this checkout"; flock 9; }
}
