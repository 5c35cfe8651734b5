# The commands of this repository, each one line away from the script that does the work.
# `make demo` and `make test` need a Debian machine with Rust, Go and root; everything else
# that they need they install by themselves, the first time in 20 to 30 minutes.
# No target may need another checkout, a registry of images or a cluster that is already there.

CLUSTER := tests/cluster
ROLLPIN_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/rollpin
# Compiled dependencies are shared between checkouts; programs stay in each checkout's own target folder.
export CARGO_BUILD_BUILD_DIR ?= $(ROLLPIN_CACHE)/build
UNIT := --workspace

.DEFAULT_GOAL := help
.PHONY: help tools cluster cluster-down kubeconfig shell images test test-unit test-deny test-cluster crds bench-containment demo demo-down

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

tools: ## Install Debian packages and build the tools of the cluster (first time 10 to 15 min)
	@$(CLUSTER)/tools.sh packages kubernetes etcd gateway-crds envoy pause envoy-gateway coredns helm

cluster: tools ## Bring up a real Kubernetes with a real gateway, for this checkout alone (root)
	@$(CLUSTER)/up.sh

cluster-down: ## Take that cluster down and check that nothing is left (root)
	@$(CLUSTER)/down.sh

kubeconfig: ## Print the path of the kubeconfig, which works inside of `make shell`
	@$(CLUSTER)/kubeconfig.sh

shell: ## Open a shell inside of the cluster, with kubectl and helm (root)
	@$(CLUSTER)/shell.sh

images: cluster ## Build the images of operator and examples into the cluster (root)
	@$(CLUSTER)/images.sh

crds: ## Write the CRDs into their chart again, after a change of crds/
	@cargo run --quiet --package rollpin-crds --example print-crds >charts/rollpin-crds/templates/crds.yaml.new
	@mv charts/rollpin-crds/templates/crds.yaml.new charts/rollpin-crds/templates/crds.yaml

test: ## Everything: unit tests, dependency checks, then the tests on a cluster of their own (root)
	@$(MAKE) --no-print-directory tools
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-deny
	@$(MAKE) --no-print-directory test-cluster

test-unit: ## Formatting, lints and all tests that need neither root nor a cluster
	cargo fmt --all --check
	cargo clippy $(UNIT) --all-targets -- -D warnings
	cargo clippy --package rollpin-tests --test cluster -- -D warnings
	cargo test $(UNIT)

test-deny: ## Advisories, licences and bans of all dependencies
	@$(CLUSTER)/tools.sh cargo-deny
	@$(CLUSTER)/deny.sh

test-cluster: cluster ## The tests on the cluster, which is taken down when they pass (root)
	@$(CLUSTER)/test.sh

bench-containment: cluster ## From the committed verdict to the last answer of the withdrawn release, 30 rounds (root)
	@BENCH=30 KEEP=1 $(CLUSTER)/test.sh alone::containment

demo: cluster ## The whole story on real data, told on the terminal (root)
	@examples/demo/demo.sh

demo-down: ## End the demo and its cluster (root)
	@examples/demo/demo-down.sh
