#!/usr/bin/env bash
# Brings up a real Kubernetes with one real node and a real Envoy, in a network namespace of
# this checkout's own. Run again on a cluster that is up, it says so; after a half-made one it
# takes that down first. It must not build tools (tools.sh) nor install rollpin (tests, demo).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$CLUSTER_DIR/daemons.sh"
need_root "make cluster"
lock_cluster

is_up() {
  [[ -e $STATE/up ]] && node_pid >/dev/null && [[ -z $(stopped_daemons) ]] &&
    kubectl get --raw /readyz >/dev/null 2>&1
}

stopped_daemons() {
  local name
  for name in "${DAEMONS[@]}"; do daemon_runs "$name" || echo "$name"; done
}

# A whole cluster that only lost a daemon keeps what is in it.
repair() {
  [[ -e $STATE/up ]] && node_pid >/dev/null || return 0
  local name
  for name in $(stopped_daemons); do
    say "starting $name again"
    start_daemon "$name"
  done
  for _ in $(seq 100); do
    ! is_up || return 0
    sleep 0.1
  done
}

check_tools() {
  local folder
  for folder in "$KUBERNETES" "$ETCD" "$ENVOY_GATEWAY" "$GATEWAY_CRDS" "$ENVOY" "$COREDNS" "$PAUSE"; do
    [[ -d $folder ]] || die "$folder is missing; run: make tools"
  done
}

make_namespace() {
  ip netns add "$CLUSTER"
  in_net ip link set lo up
  in_net ip address add "$NODE_IP/32" dev lo
  # So that the node itself reaches Services; their addresses are rewritten before the route matters.
  in_net ip route add "$SERVICE_RANGE" dev lo src "$NODE_IP"
  in_net sysctl -qw net.ipv4.ip_forward=1
}

make_cgroups() {
  local mount parent
  for mount in $(cgroup_mounts); do
    # The v2 mount of a machine whose controllers are still on v1 has none to offer.
    [[ -s $mount/cgroup.controllers || ! -e $mount/cgroup.controllers ]] || continue
    if [[ -e $mount/cgroup.controllers ]]; then
      sed 's/[a-z]*/+&/g' "$mount/cgroup.controllers" >"$mount/cgroup.subtree_control"
    fi
    mkdir -p "$mount/$CLUSTER"
    if [[ -e $mount/cgroup.controllers ]]; then
      sed 's/[a-z]*/+&/g' "$mount/$CLUSTER/cgroup.controllers" >"$mount/$CLUSTER/cgroup.subtree_control"
    fi
    mkdir -p "$mount/$CLUSTER/node"
    for parent in "$mount" "$mount/$CLUSTER"; do
      inherit_cpus "$parent" "$parent/$([[ $parent == "$mount" ]] && echo "$CLUSTER" || echo node)"
    done
  done
}

# On v1 a new cpuset is empty, and nothing can enter it.
inherit_cpus() { # parent, child
  local file
  [[ ! -e $1/cgroup.controllers ]] || return 0
  for file in cpuset.cpus cpuset.mems; do
    [[ ! -e $1/$file ]] || cat "$1/$file" >"$2/$file"
  done
}

write_config() {
  local file
  mkdir -p "$STATE"/{config,cni,logs,pids,pod-logs,containerd,manifests}
  for file in "$CLUSTER_DIR"/config/* "$CLUSTER_DIR"/manifests/*; do
    sed -e "s#@STATE@#$STATE#g; s#@CLUSTER@#$CLUSTER#g; s#@NODE_IP@#$NODE_IP#g; s#@PAUSE_IMAGE@#$PAUSE_IMAGE#g" \
      -e "s#@ENVOY_VERSION@#$ENVOY_VERSION#g; s#@GATEWAY_PORT@#$GATEWAY_PORT#g" \
      "$file" >"$STATE/${file#"$CLUSTER_DIR"/}"
  done
  mv "$STATE/config/cni.conflist" "$STATE/cni/"
  "$CLUSTER_DIR/certs.sh" "$STATE/pki"
  install -D "$ENVOY/envoy" "$STATE/envoy-gateway/data/envoy-versions/$ENVOY_VERSION/bin/envoy"
}

start_node() {
  (
    exec 9>&-
    cd /
    join_node_cgroup
    echo "$BASHPID" >"$STATE/unshare.pid"
    exec nsenter --net="$NETNS" -- setsid unshare --mount --pid --fork --kill-child "$CLUSTER_DIR/node.sh"
  ) >"$STATE/logs/node.log" 2>&1 </dev/null &
  wait_for "the node's namespaces" 10 test -e "$STATE/node.ready"
  pgrep -P "$(cat "$STATE/unshare.pid")" >"$STATE/node.pid"
}

import_pause_image() {
  in_node env -i PATH="$PATH" ctr --address "$STATE/containerd/containerd.sock" --namespace k8s.io images import "$PAUSE/pause.tar"
}

node_is_ready() { [[ $(kubectl get node node1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]; }
gateway_listens() { in_net curl -s -o /dev/null --max-time 1 "http://$NODE_IP:$GATEWAY_PORT/"; }

install_gateway_kinds() {
  kubectl apply --server-side -f "$GATEWAY_CRDS/gateway-api.yaml" -f "$GATEWAY_CRDS/envoy-gateway.yaml" >/dev/null
  kubectl wait --for=condition=Established crd --all --timeout=30s >/dev/null
}

start_gateway() {
  in_node "$ENVOY_GATEWAY/envoy-gateway" certgen --local --config-home "$STATE/envoy-gateway/config" >"$STATE/logs/certgen.log" 2>&1
  kubectl apply -f "$STATE/manifests/gateway.yaml" >/dev/null
  start_daemon envoy-gateway
}

step() { say "[$1/6] $2 ($SECONDS s)"; }

repair
if is_up; then
  say "the cluster of $CHECKOUT ($CLUSTER) is already up; look around with: make shell"
  exit 0
fi
check_tools
if [[ -e $STATE || -e $NETNS ]]; then
  say "taking down what an earlier run left of $CLUSTER"
  "$CLUSTER_DIR/down.sh" --locked
fi

step 1 "namespaces, cgroups, certificates of $CLUSTER"
make_namespace
make_cgroups
write_config
start_node
step 2 "etcd, containerd, API server"
start_daemon etcd
start_daemon containerd
start_daemon kube-apiserver
wait_for containerd 15 in_node test -S "$STATE/containerd/containerd.sock"
wait_for "the pause image" 15 import_pause_image
wait_for "the API server" 60 kubectl get --raw /readyz
step 3 "controllers, scheduler, kubelet, kube-proxy, CoreDNS"
for name in kube-controller-manager kube-scheduler kubelet kube-proxy coredns; do start_daemon "$name"; done
step 4 "Gateway API $GATEWAY_API_VERSION and Envoy Gateway $ENVOY_GATEWAY_VERSION"
install_gateway_kinds
start_gateway
step 5 "waiting for the node"
wait_for "a ready node" 60 node_is_ready
wait_for "a service account in namespace agents" 30 kubectl -n agents get serviceaccount default
step 6 "waiting for Envoy $ENVOY_VERSION"
wait_for "Envoy on $NODE_IP:$GATEWAY_PORT" 60 gateway_listens
[[ -z $(stopped_daemons) ]] || die "ended by themselves: $(stopped_daemons | paste -sd' '); the logs lie in $STATE/logs"
touch "$STATE/up"
say "$CLUSTER is up after $SECONDS s. Look around: make shell. One command: tests/cluster/run.sh kubectl get pods -A. End: make cluster-down"
