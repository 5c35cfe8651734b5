#!/usr/bin/env bash
# The tests on the cluster: builds the programs and images, installs kinds and operator as a
# user would (kubectl apply, Helm), and runs tests/tests/cluster inside of the cluster's
# network namespace. The cluster must be up (make cluster); it is taken down when all pass, and
# stays for a look when a test fails, or when KEEP is set.
#
#   test.sh [NAME-OF-TEST]...     default: all; BENCH=30 sets the rounds of the containment test
#
# It must not need the network once everything is built, and it leaves no operator of an
# earlier run behind.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "make test-cluster"
cd "$CHECKOUT"

TARGET=x86_64-unknown-linux-musl
PROFILE=dist
OPERATOR=rollpin-system
BIN=${CARGO_TARGET_DIR:-target}/$TARGET/$PROFILE
[[ $BIN == /* ]] || BIN=$CHECKOUT/$BIN
THREADS=${THREADS:-4}

step() { say "[$1/6] $2 ($SECONDS s)"; }
run() { "$CLUSTER_DIR/run.sh" "$@"; }

build_programs() {
  cargo build --profile "$PROFILE" --target "$TARGET" \
    -p rollpin-controller -p rollpin-cli -p replay-agent -p loadgen
}

# Prints the path of the test program. It is built with the features of the whole workspace, so
# that it shares its dependencies with the other tests.
build_tests() {
  cargo test --workspace --test cluster --no-run --message-format=json |
    jq -r 'select(.reason == "compiler-artifact" and .target.name == "cluster") | .executable'
}

image() { # package
  local log=$STATE/logs/image-$1.log
  "$CLUSTER_DIR/image.sh" "$1" "$BIN/$1" 2>"$log" || { tail -n 20 "$log" >&2; die "the image of $1 could not be made"; }
}

# An environment with the official MCP SDK of one revision, in the cache, keyed by what is in it.
mcp_client() { # revision
  local requirements=$CHECKOUT/examples/mcp-clients/requirements-$1.txt folder
  folder=$CACHE/mcp-$1-$(sha256sum "$requirements" | cut -c1-12)
  if [[ ! -e $folder/ready ]]; then
    say "      MCP client $1 from PyPI: about 20 s, only the first time"
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
    touch "$folder/ready"
  fi
  echo "$folder/bin/python"
}

install_operator() { # image by digest
  run kubectl apply -f charts/rollpin-crds/templates/ >/dev/null
  run kubectl wait --for=condition=Established -f charts/rollpin-crds/templates/ --timeout=30s >/dev/null
  run helm upgrade --install rollpin charts/rollpin --namespace "$OPERATOR" --create-namespace \
    --set "image.repository=${1%@*}" --set "image.digest=${1#*@}" --wait --timeout 90s >/dev/null
}

dump() {
  local file=$STATE/logs/test-dump.txt
  {
    run kubectl get agentreleases,agentrevisions,releasecommands,decisionrecords,evidenceledgers,httproutes,deployments,pods -A -o wide
    run kubectl get events -A --sort-by=.lastTimestamp | tail -n 150
    run kubectl get agentreleases -A -o yaml
    run kubectl -n "$OPERATOR" logs -l app.kubernetes.io/name=rollpin --prefix --tail=5000
  } >"$file" 2>&1 || true
  say "objects:"
  run kubectl get agentreleases,pods -A >&2 || true
  say "last lines of the operator:"
  run kubectl -n "$OPERATOR" logs -l app.kubernetes.io/name=rollpin --prefix --tail=25 >&2 || true
  say "all objects, events and logs: $file"
}

# Runs a part of the tests; a filter of the caller's replaces the part's name.
tests() { # part, threads
  local part=$1 filters=() name
  for name in "${FILTERS[@]}"; do [[ $name != "$part"* ]] || filters+=("$name"); done
  ((${#FILTERS[@]})) || filters=("$part")
  ((${#filters[@]})) || return 0
  "${INSIDE[@]}" "$test_program" --test-threads="$2" --nocapture "${filters[@]}"
}

FILTERS=("$@")
node_pid >/dev/null || die "the cluster of $CHECKOUT is not up; run: make cluster"
step 1 "static programs: operator, command line, example agent, load generator"
build_programs
step 2 "the tests themselves"
test_program=$(build_tests)
[[ -x $test_program ]] || die "cargo named no test program"
step 3 "images into the cluster"
controller=$(image rollpin-controller)
agent=$(image replay-agent)
step 4 "MCP clients"
mcp_old=$(mcp_client 2025-11-25)
mcp_new=$(mcp_client 2026-07-28)
step 5 "kinds by kubectl, operator by Helm"
install_operator "$controller" || { dump; die "the operator does not come up"; }
step 6 "tests, $THREADS at a time, then those that need the cluster to themselves"
INSIDE=("$CLUSTER_DIR/run.sh" env "ROLLPIN_BIN=$BIN" "ROLLPIN_AGENT_IMAGE=$agent" "ROLLPIN_OPERATOR_NAMESPACE=$OPERATOR"
  "ROLLPIN_MCP_2025_11_25=$mcp_old" "ROLLPIN_MCP_2026_07_28=$mcp_new")
failed=
tests together "$THREADS" || failed=yes
tests alone 1 || failed=yes
if [[ -n $failed ]]; then
  dump
  die "a test on the cluster failed ($SECONDS s); the cluster is still up: make shell; logs in $STATE/logs; end it with make cluster-down"
fi
say "all tests on the cluster passed ($SECONDS s)"
[[ -n ${KEEP:-} ]] || "$CLUSTER_DIR/down.sh"
