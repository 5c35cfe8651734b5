#!/usr/bin/env bash
# Makes the certificates and kubeconfigs of one cluster in a folder: new at every start, good
# for 30 days, for this cluster alone. They must never be committed or used elsewhere.
#
#   certs.sh FOLDER
set -euo pipefail
. "$(dirname "$0")/lib.sh"
umask 077
mkdir -p "$1"
cd "$1"

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

issue() { # name, subject, extension line...
  local name=$1 subject=$2
  shift 2
  new_key "$name"
  openssl req -new -key "$name.key" -subj "$subject" |
    openssl x509 -req -days 30 -CA ca.crt -CAkey ca.key -CAcreateserial -out "$name.crt" \
      -extfile <(printf '%s\n' 'keyUsage=digitalSignature,keyEncipherment' 'extendedKeyUsage=clientAuth,serverAuth' "$@") 2>/dev/null
}

kubeconfig() { # name, file
  cat >"$2" <<EOF
apiVersion: v1
kind: Config
current-context: $CLUSTER
contexts:
- {name: $CLUSTER, context: {cluster: $CLUSTER, user: $1}}
clusters:
- name: $CLUSTER
  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
EOF
}

new_key ca
openssl req -x509 -new -key ca.key -subj "/CN=$CLUSTER" -days 30 -out ca.crt
new_key service-account
openssl ec -in service-account.key -pubout -out service-account.pub 2>/dev/null
issue server /CN=kube-apiserver \
  "subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$NODE_IP"
issue admin /O=system:masters/CN=admin
issue kubelet /O=system:nodes/CN=system:node:node1 "subjectAltName=DNS:node1,IP:$NODE_IP"
issue controller-manager /CN=system:kube-controller-manager
issue scheduler /CN=system:kube-scheduler
issue proxy /CN=system:kube-proxy

kubeconfig admin "$KUBECONFIG_FILE"
for name in kubelet controller-manager scheduler proxy; do
  kubeconfig "$name" "$name.kubeconfig"
done
