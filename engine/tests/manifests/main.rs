//! Manifests as people write them, against the digest, the checks and the schema of the API.
//!
//! Data lives in `tests/data` of the workspace; nothing here talks to a cluster.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)] // tests fail loudly and read files

mod bad;
mod fields;
mod golden;
mod properties;

use std::path::PathBuf;

use rollpin_crds::AgentRelease;
use rollpin_engine::digest::{Content, Contents};

/// The text of the one reference in `everything.yaml`.
pub(crate) const EXAMPLES: &str = "Q: Where is my order?\nA: Let me look.\n";

/// A file or folder below `tests/data`.
pub(crate) fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(path)
}

/// The text of a file.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(data(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// A manifest as JSON.
pub(crate) fn value(path: &str) -> serde_json::Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// A manifest as its type.
pub(crate) fn release(path: &str) -> AgentRelease {
    serde_json::from_value(value(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// What the references of `everything.yaml` lead to, by two names.
pub(crate) fn contents() -> Contents {
    let content = || Content { text: Some(EXAMPLES.into()), immutable: true };
    let names = [("prompts", "examples.txt"), ("promptsx", "examples.txt"), ("prompts", "examples.txtx")];
    names.into_iter().map(|(name, key)| ((name.to_owned(), key.to_owned()), content())).collect()
}
