//! The engine cannot do I/O, because nothing that does is linked into it; and the two shells never meet.
//!
//! `clippy.toml` beside the crate refuses what the standard library offers; this test refuses the rest.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)] // tests fail loudly and read files

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that bring I/O, a runtime, a clock or randomness.
const REFUSED: [&str; 14] = [
    "tokio",
    "async-std",
    "smol",
    "kube-client",
    "kube-runtime",
    "reqwest",
    "hyper",
    "axum",
    "tonic",
    "rand",
    "rand_core",
    "fastrand",
    "chrono",
    "tracing-subscriber",
];

/// Names of everything that is linked into a package when it is built by itself: what builds or tests it does not count,
/// nor do the features that its neighbours in the workspace ask for.
fn linked_into(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(cargo)
        .args(["tree", "--manifest-path", manifest, "--package", package, "--edges", "normal", "--no-dedupe"])
        .args(["--prefix", "none", "--format", "{p}", "--offline", "--locked"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn nothing_that_does_io_is_linked_into_the_engine() {
    let linked = linked_into("rollpin-engine");
    assert!(linked.contains("rollpin-crds") && linked.contains("sha2"), "the tree was not read: {linked:?}");
    let found: Vec<&str> = REFUSED.into_iter().filter(|name| linked.contains(*name)).collect();
    assert!(
        found.is_empty(),
        "the engine links {found:?}; I/O, clocks and randomness belong to the controller or the CLI"
    );
}

#[test]
fn the_refused_crates_would_be_seen() {
    let linked = linked_into("rollpin-controller");
    assert!(linked.contains("tokio") && linked.contains("kube-client"), "{linked:?}");
}

#[test]
fn the_arrows_between_our_crates_go_one_way() {
    let on = |from: &str, to: &str| linked_into(from).contains(to);
    assert!(!on("rollpin-cli", "rollpin-controller"), "the CLI must not depend on the controller");
    assert!(!on("rollpin-controller", "rollpin-cli"), "the controller must not depend on the CLI");
    assert!(!on("rollpin-crds", "rollpin-engine"), "the API types must not depend on the engine");
    assert!(on("rollpin-cli", "rollpin-engine") && on("rollpin-controller", "rollpin-engine"));
}
