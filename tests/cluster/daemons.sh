# The daemons of a node: how each is called, started and stopped. Sourced by up.sh and
# daemon.sh; it must not wait for readiness, which is up.sh's to judge.
# shellcheck shell=bash

DAEMONS=(etcd containerd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns envoy-gateway)

# Fills `command` with the command line of a daemon.
command_of() {
  local pki=$STATE/pki
  case $1 in
    etcd) command=("$ETCD/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn
      --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
      --listen-peer-urls http://127.0.0.1:2380) ;;
    containerd) command=(containerd --config "$STATE/config/containerd.toml" --log-level warn) ;;
    kube-apiserver) command=("$KUBERNETES/kube-apiserver"
      --bind-address=0.0.0.0 --advertise-address="$NODE_IP" --secure-port=6443
      --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range="$SERVICE_RANGE"
      --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/server.crt" --tls-private-key-file="$pki/server.key"
      --service-account-key-file="$pki/service-account.pub" --service-account-signing-key-file="$pki/service-account.key"
      --service-account-issuer=https://kubernetes.default.svc "--authorization-mode=Node,RBAC"
      --enable-admission-plugins=NodeRestriction --allow-privileged=true
      --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key"
      --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP
      --audit-policy-file="$STATE/config/audit.yaml" --audit-log-path="$STATE/logs/audit.log"
      --audit-log-maxsize=200 --audit-log-maxbackup=2) ;;
    kube-controller-manager) command=("$KUBERNETES/kube-controller-manager"
      --kubeconfig="$pki/controller-manager.kubeconfig" --leader-elect=false --use-service-account-credentials
      --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/service-account.key"
      --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key") ;;
    kube-scheduler) command=("$KUBERNETES/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false) ;;
    kubelet) command=("$KUBERNETES/kubelet" --config="$STATE/config/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig"
      --root-dir="$STATE/kubelet" --node-ip="$NODE_IP" --hostname-override=node1) ;;
    kube-proxy) command=("$KUBERNETES/kube-proxy" --config="$STATE/config/kube-proxy.yaml") ;;
    coredns) command=("$COREDNS/coredns" -conf "$STATE/config/Corefile") ;;
    envoy-gateway) command=(env KUBECONFIG="$KUBECONFIG_FILE" "$ENVOY_GATEWAY/envoy-gateway" server
      --config-path "$STATE/config/envoy-gateway.yaml") ;;
    *) die "no daemon is named $1; there are: ${DAEMONS[*]}" ;;
  esac
}

# Moves the calling shell into the cgroup of the node's daemons, away from the caller's own.
join_node_cgroup() {
  local mount
  for mount in $(cgroup_mounts); do
    [[ ! -d $mount/$CLUSTER/node ]] || echo "$BASHPID" >"$mount/$CLUSTER/node/cgroup.procs"
  done
}

start_daemon() { # name
  local command
  command_of "$1"
  (
    exec 9>&-
    cd /
    join_node_cgroup
    # The number that the daemon has among the node's processes, where it cannot mean another one.
    # shellcheck disable=SC2016
    in_node env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root setsid sh -c 'echo $$ >"$0"; exec "$@"' "$STATE/pids/$1" "${command[@]}"
  ) >>"$STATE/logs/$1.log" 2>&1 </dev/null &
}

daemon_runs() { # name
  local pid
  pid=$(cat "$STATE/pids/$1" 2>/dev/null) && in_node kill -0 "$pid" 2>/dev/null
}

stop_daemon() { # name, signal
  local pid
  pid=$(cat "$STATE/pids/$1") || die "$1 was never started"
  in_node kill -s "${2:-TERM}" "$pid" || true
  wait_for "end of $1" 20 daemon_ended "$1"
}

daemon_ended() { ! daemon_runs "$1"; }
