#!/usr/bin/env bash
# Stops or starts one daemon of a running cluster, for tests that ask what happens without it.
# It must not wait for the daemon to be of use again: that is what such a test measures.
#
#   daemon.sh stop NAME [SIGNAL] | start NAME | restart NAME [SIGNAL] | list
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$CLUSTER_DIR/daemons.sh"
need_root "changing the cluster"

case ${1:-list} in
  stop) stop_daemon "$2" "${3:-TERM}" ;;
  start) start_daemon "$2" ;;
  restart) stop_daemon "$2" "${3:-TERM}"; start_daemon "$2" ;;
  list) for name in "${DAEMONS[@]}"; do
    if daemon_runs "$name"; then echo "$name runs"; else echo "$name is stopped"; fi
  done ;;
  *) die "usage: daemon.sh stop|start|restart NAME [SIGNAL], or list" ;;
esac
