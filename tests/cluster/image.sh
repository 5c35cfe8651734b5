#!/usr/bin/env bash
# Builds an image from nothing but a static binary and files, and hands it to the cluster's
# runtime under its tag and its digest. Prints the reference by digest, the form that a release
# pins. It must not use a registry or the network. The same bytes give the same digest.
#
#   image.sh NAME BINARY [FILE:/PATH/IN/IMAGE]...   the binary becomes the entry point
#   image.sh NAME FOLDER                            a folder with a Containerfile
#
# TAG (default: dev) is the tag. A static Rust binary:
#   cargo build --release --target x86_64-unknown-linux-musl -p PACKAGE
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "building an image"
(($# >= 2)) || die "usage: image.sh NAME BINARY [FILE:/PATH]..., or image.sh NAME FOLDER"

name=rollpin.local/$1
source=$2
shift 2
tag=$name:${TAG:-dev}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

write_context() { # context folder, FILE:/PATH...
  local context=$1 pair
  shift
  mkdir -p "$context/files"
  install -m 755 "$source" "$context/files/$(basename "$source")"
  for pair in "$@"; do
    install -m 644 -D "${pair%%:*}" "$context/files/${pair#*:}"
  done
  cat >"$context/Containerfile" <<EOF
FROM scratch
COPY files/ /
USER 65532:65532
ENTRYPOINT ["/$(basename "$source")"]
EOF
}

if [[ -d $source ]]; then
  context=$source
else
  [[ -x $source ]] || die "$source is not a program; build it for x86_64-unknown-linux-musl first"
  context=$work/context
  write_context "$context" "$@"
fi

buildah=(buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs)
"${buildah[@]}" build --quiet --isolation chroot --timestamp 0 --tag "$tag" -f "$context/Containerfile" "$context" >&2
"${buildah[@]}" push --quiet "$tag" "oci-archive:$work/image.tar:$tag" >&2
digest=$(tar -xOf "$work/image.tar" index.json | jq -r '.manifests[0].digest')
# The runtime lives among the node's processes and mounts, so it is given the archive as a stream.
in_node env -i PATH=/usr/sbin:/usr/bin ctr --address "$STATE/containerd/containerd.sock" --namespace k8s.io \
  images import --digests --base-name "$name" - <"$work/image.tar" >&2
echo "$name@$digest"
