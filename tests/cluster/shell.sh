#!/usr/bin/env bash
# Opens a shell inside of the cluster for a person to look around in. Scripts use run.sh.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
say "Inside $CLUSTER: kubectl and helm work, the gateway is http://$NODE_IP:$GATEWAY_PORT. Leave with: exit"
# shellcheck disable=SC2016
exec "$CLUSTER_DIR/run.sh" bash --rcfile <(printf '%s\n' '[[ ! -r ~/.bashrc ]] || . ~/.bashrc' \
  'export PATH='"$KUBERNETES:$HELM"':$PATH' 'PS1="['"$CLUSTER"', leave with exit] \w\\$ "') -i
