#!/usr/bin/env bash
# Runs the tests that need the cluster, inside of its network namespace. These are the tests
# marked #[ignore]; `cargo test` alone leaves them out. The cluster is taken down when they
# pass, and stays for a look when they fail, or when KEEP is set.
#
#   test.sh [NAME-OF-TEST]...
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "make test-cluster"
cd "$CHECKOUT"

# Inside of the namespace there is no network, so everything is built before.
cargo test --package rollpin-tests --no-run
if ! "$CLUSTER_DIR/run.sh" cargo --offline test --package rollpin-tests -- --ignored "$@"; then
  die "a test on the cluster failed; the cluster is still up: make shell; logs in $STATE/logs; end it with make cluster-down"
fi
[[ -n ${KEEP:-} ]] || "$CLUSTER_DIR/down.sh"
