//! The release digest: the canonical form and the content hash of a bundle and its harness.
//!
//! A release is an OCI manifest over one canonical JSON blob per component, computed without a registry: what is hashed
//! is what is mounted. This module names content; whether a release is any good is `preflight`'s business.

mod build;
mod content;
pub mod fields;
mod manifest;
mod names;
mod project;
mod strict;
mod template;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rollpin_crds::revision::Component;
use rollpin_crds::status::ReleaseRef;

use crate::validate::Problem;

pub use build::{build, harness_port};
pub use content::{Reference, references};
pub use manifest::{EMPTY_CONFIG, manifest};
pub use names::{base32, from_base32, is_digest, object_name};
pub use project::source_word;
pub use strict::MAX_SAFE as MAX_SAFE_INTEGER;
pub use template::{image_content, overlay_operations, split_template};
pub use verify::{Damaged, changed_components, verify};

/// Version of the recipe. It changes when the same spec gets another digest; every revision records its own.
pub const DIGEST_VERSION: i64 = 1;

/// Components in the order of the manifest's layers.
pub const COMPONENTS: [&str; 7] = ["model", "prompt", "tools", "context", "harness", "runtime", "state"];

/// Longest inline bundle in bytes of canonical JSON: a client-side apply copies it into a 256 KiB annotation.
pub const INLINE_LIMIT: usize = 200 * 1024;

/// Longest component in bytes, as an `AgentRevision` can hold it.
pub const COMPONENT_LIMIT: usize = 256 * 1024;

/// Longest sum of components and manifest in bytes: they share one `ConfigMap` of 1 MiB with its own overhead.
pub const MOUNT_LIMIT: usize = 900 * 1024;

/// The content that a spec refers to, as far as it was found: `(ConfigMap, key)` to its text.
pub type Contents = BTreeMap<(String, String), Content>;

/// One referred text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The text; absent: the object or the key is not there.
    pub text: Option<String>,
    /// The `ConfigMap` is immutable.
    pub immutable: bool,
}

/// A release, ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// Digests and the name of the revision.
    pub release: ReleaseRef,
    /// The OCI manifest, canonical JSON.
    pub manifest: String,
    /// The components, in the order of the manifest's layers.
    pub components: Vec<Component>,
    /// The pod template without its operations fields, canonical JSON; images in full, as a kubelet needs them.
    pub template: String,
    /// Contract level of the harness, 0..=2.
    pub contract_level: i64,
    /// Port of the harness.
    pub port: i32,
}

/// Why a release cannot be made yet, or at all.
#[derive(Clone, Debug, PartialEq)]
pub enum NotBuilt {
    /// Content is missing, or is not what its hash says: wait.
    WaitingForContent(String),
    /// The spec cannot be a release.
    Invalid(Vec<Problem>),
}
