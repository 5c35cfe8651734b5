#!/usr/bin/env bash
# Prints where the administrator's kubeconfig of the running cluster lies. Its address is
# 127.0.0.1 inside of the cluster's network namespace, so it works there only.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
node_pid >/dev/null || die "the cluster of $CHECKOUT is not up; run: make cluster"
say "Inside of the cluster (make shell, or tests/cluster/run.sh COMMAND) it is set already:"
echo "$KUBECONFIG_FILE"
