#!/usr/bin/env bash
# The first process of a cluster's node. Gives the node a root of its own, so that nothing it
# mounts or writes shows on the machine, and then only collects orphans. When it is killed,
# the kernel ends every process of the node and takes every mount back. Started by up.sh
# only, in new mount and process namespaces; it must not start or watch any daemon.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

root=$STATE/root
mkdir -p "$root"
mount -t tmpfs -o mode=755 "$CLUSTER" "$root"

for path in /usr /etc /bin /sbin /lib /lib32 /lib64 /dev /sys; do
  if [[ -L $path ]]; then
    cp -d "$path" "$root$path"
  elif [[ -d $path ]]; then
    mkdir "$root$path"
    mount --rbind "$path" "$root$path"
  fi
done
mkdir -p "$root"/{proc,run,tmp,root,var/lib/kubelet,var/log,certs,machine} "$root$STATE" "$root$CACHE"
mount -t proc proc "$root/proc"
mount --bind "$STATE" "$root$STATE"
mount --bind -o ro "$CACHE" "$root$CACHE"
# Envoy Gateway reads its certificates here and nowhere else.
ln -s "$STATE"/envoy-gateway/config/certs/envoy-gateway/{tls.crt,tls.key,ca.crt} "$root/certs/"

cd "$root"
pivot_root . machine
cd /
umount --lazy /machine
rmdir /machine
mount --make-rshared /
touch "$STATE/node.ready"

while true; do
  sleep 3600 &
  wait $!
done
