//! The engine cannot do I/O, because nothing that does is linked into it; and the two shells never meet.
//!
//! `clippy.toml` beside the crate refuses what the standard library offers; this test refuses the rest.

#![allow(clippy::disallowed_methods)] // a test may ask cargo

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crates that bring I/O, a runtime, a clock or randomness.
const REFUSED: [&str; 14] = [
    "tokio", "async-std", "smol", "kube-client", "kube-runtime", "reqwest", "hyper", "axum", "tonic", "rand", "rand_core", "fastrand",
    "chrono", "tracing-subscriber",
];

/// Normal dependencies (what is linked, not what builds or tests) by package name.
fn normal_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let triple = concat!(env!("CARGO_MANIFEST_DIR"), "/../rust-toolchain.toml");
    assert!(std::path::Path::new(triple).exists());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: BTreeMap<&str, &str> =
        items(&metadata["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in items(&metadata["resolve"]["nodes"]) {
        let normal = items(&node["deps"]).filter(|dep| items(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null()));
        let on = normal.map(|dep| names[text(&dep["pkg"])].to_owned());
        graph.entry(names[text(&node["id"])].to_owned()).or_default().extend(on);
    }
    graph
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn reach(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        let next = graph.get(&name).unwrap_or_else(|| panic!("no package {name}"));
        open.extend(next.iter().filter(|name| seen.insert((*name).clone())).cloned());
    }
    seen
}

#[test]
fn nothing_that_does_io_is_linked_into_the_engine() {
    let graph = normal_dependencies();
    let linked = reach(&graph, "rollpin-engine");
    assert!(linked.contains("rollpin-crds") && linked.contains("sha2"), "the graph was not read: {linked:?}");
    let found: Vec<&str> = REFUSED.into_iter().filter(|name| linked.contains(*name)).collect();
    assert!(found.is_empty(), "the engine links {found:?}; I/O, clocks and randomness belong to the controller or the CLI");
}

#[test]
fn the_refused_crates_would_be_seen() {
    let graph = normal_dependencies();
    let linked = reach(&graph, "rollpin-controller");
    assert!(linked.contains("tokio") && linked.contains("kube-client"), "{linked:?}");
}

#[test]
fn the_arrows_between_our_crates_go_one_way() {
    let graph = normal_dependencies();
    let on = |from: &str, to: &str| reach(&graph, from).contains(to);
    assert!(!on("rollpin-cli", "rollpin-controller"), "the CLI must not depend on the controller");
    assert!(!on("rollpin-controller", "rollpin-cli"), "the controller must not depend on the CLI");
    assert!(!on("rollpin-crds", "rollpin-engine"), "the API types must not depend on the engine");
    assert!(on("rollpin-cli", "rollpin-engine") && on("rollpin-controller", "rollpin-engine"));
}
