#!/usr/bin/env bash
# Takes this checkout's cluster down and proves that nothing of it is left: no process, mount,
# namespace, network device, cgroup or file. It ends only what lives in the cluster's own
# namespaces, and never looks for processes by name.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "make cluster-down"
[[ ${1:-} == --locked ]] || lock_cluster

netns_inode=$(stat -Lc %i "$NETNS" 2>/dev/null || echo none)
[[ $(stat -Lc %i /proc/self/ns/net) != "$netns_inode" ]] || die "this shell is inside of the cluster; leave it first (exit)"

# Processes that live in the cluster's network namespace, or in a cgroup of it (pods).
members() {
  {
    stat -Lc '%i %n' /proc/[0-9]*/ns/net 2>/dev/null | awk -F'[ /]' -v inode="$netns_inode" '$1 == inode { print $4 }'
    grep -ls ":/$CLUSTER/" /proc/[0-9]*/cgroup | cut -d/ -f3
  } | sort -un
}

end_processes() {
  local pid
  # With the node's first process the kernel ends all others of the node, pods included.
  if pid=$(node_pid); then kill -KILL "$pid" 2>/dev/null || true; fi
  for _ in $(seq 100); do
    [[ -n $(members) ]] || return 0
    sleep 0.05
  done
  # What is left was started through run.sh or shell.sh.
  # shellcheck disable=SC2046
  kill -KILL $(members) 2>/dev/null || true
  sleep 0.2
}

remove_cgroups() {
  local mount
  for mount in $(cgroup_mounts); do
    [[ ! -d $mount/$CLUSTER ]] || find "$mount/$CLUSTER" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

# One line for each thing that should be gone.
leftovers() {
  local mount pid
  for pid in $(members); do echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"; done
  grep -s "$CLUSTER" /proc/[0-9]*/mountinfo | awk '{print "mount: " $1 " " $5}' || true
  [[ ! -e $NETNS ]] || echo "network namespace: $NETNS"
  ip -o link show | grep -F "link-netns $CLUSTER" | sed 's/^/network device: /' || true
  for mount in $(cgroup_mounts); do
    [[ ! -e $mount/$CLUSTER ]] || echo "cgroup: $mount/$CLUSTER"
  done
  [[ ! -e $STATE ]] || echo "folder: $STATE"
}

existed=
[[ ! -e $STATE && ! -e $NETNS ]] || existed=yes
end_processes
remove_cgroups
[[ ! -e $NETNS ]] || ip netns delete "$CLUSTER"
rm -rf --one-file-system "$STATE"

for _ in $(seq 40); do
  left=$(leftovers)
  [[ -n $left ]] || break
  remove_cgroups
  sleep 0.1
done
[[ -z $left ]] || die "left of $CLUSTER:
$left"
if [[ -n $existed ]]; then say "$CLUSTER is down; nothing is left"; else say "$CLUSTER is not up; nothing is left of it"; fi
