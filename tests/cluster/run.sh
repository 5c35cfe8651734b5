#!/usr/bin/env bash
# Runs one command inside of the cluster's network namespace, with KUBECONFIG set and kubectl
# and helm in PATH. It shares everything else with the machine: files, processes, user.
#
#   run.sh COMMAND...
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "entering the cluster"
(($#)) || die "usage: run.sh COMMAND..."
node_pid >/dev/null || die "the cluster of $CHECKOUT is not up; run: make cluster"

export KUBECONFIG=$KUBECONFIG_FILE PATH=$KUBERNETES:$HELM:$PATH
export ROLLPIN_CLUSTER=$CLUSTER ROLLPIN_CLUSTER_STATE=$STATE ROLLPIN_GATEWAY=http://$NODE_IP:$GATEWAY_PORT
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy
exec nsenter --net="$NETNS" -- "$@"
