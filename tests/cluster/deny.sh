#!/usr/bin/env bash
# Checks licences, bans, sources and advisories of every dependency, by the rules of deny.toml. It must not install
# anything; tools.sh does. The advisory database is fetched each time; without a way to it, that check alone is left out,
# and said so.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$CHECKOUT"
deny=$CARGO_DENY/bin/cargo-deny
"$deny" check licenses bans sources
if timeout 60 "$deny" fetch db >/dev/null 2>&1; then
  "$deny" check advisories
else
  say "advisories: NOT CHECKED, the advisory database cannot be reached from here"
fi
