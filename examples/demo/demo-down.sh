#!/usr/bin/env bash
# Ends the demo with its cluster; nothing of either is left.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec tests/cluster/down.sh
