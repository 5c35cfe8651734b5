#!/usr/bin/env bash
# Checks advisories, licences and bans of every dependency, by the rules of deny.toml. It must
# not install anything; tools.sh does.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$CHECKOUT"
exec "$CARGO_DENY/bin/cargo-deny" check advisories licenses bans sources
