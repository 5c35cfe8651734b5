#!/usr/bin/env bash
# Builds programs and images, installs the charts with Helm, and says where everything is in the demo's env file.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
work=$STATE/demo
mkdir -p "$work"
target=x86_64-unknown-linux-musl profile=dist
folder=$PWD/${CARGO_TARGET_DIR:-target}/$target/$profile
[[ ${CARGO_TARGET_DIR:-} == /* ]] && folder=$CARGO_TARGET_DIR/$target/$profile

printf '\nbuilding the programs (about 6 min the first time, seconds later)\n'
cargo build --profile "$profile" --target "$target" --package rollpin-controller --package rollpin-cli --package replay-agent --package loadgen
agent=$(tests/cluster/image.sh replay-agent "$folder/replay-agent" 2>/dev/null)
controller=$(tests/cluster/image.sh rollpin-controller "$folder/rollpin-controller" 2>/dev/null)

printf 'installing rollpin with Helm\n'
tests/cluster/run.sh kubectl apply --server-side --force-conflicts -f charts/rollpin-crds/templates >/dev/null
tests/cluster/run.sh helm upgrade --install rollpin charts/rollpin --namespace rollpin-system --create-namespace \
  --set image.repository="${controller%@*}" --set image.digest="${controller#*@}" --wait --timeout 90s >/dev/null
cat >"$work/env" <<EOF
ROLLPIN=$folder/rollpin
LOADGEN=$folder/loadgen
AGENT_IMAGE=$agent
GATEWAY=http://$NODE_IP:$GATEWAY_PORT
EOF
