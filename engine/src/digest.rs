//! The release digest: the canonical form and the content hash of a bundle and its harness.

use std::collections::BTreeMap;

use rollpin_crds::AgentReleaseSpec;
use rollpin_crds::revision::Component;
use rollpin_crds::status::ReleaseRef;

use crate::validate::Problem;

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
    /// The pod template without its operations fields, canonical JSON.
    pub template: String,
}

/// Why a release cannot be made yet, or at all.
#[derive(Clone, Debug, PartialEq)]
pub enum NotBuilt {
    /// Content is missing, or is not what its hash says: wait.
    WaitingForContent(String),
    /// The spec cannot be a release.
    Invalid(Vec<Problem>),
}

/// Makes the release that a spec asks for.
pub fn build(_agent: &str, _spec: &AgentReleaseSpec, _contents: &Contents) -> Result<Built, NotBuilt> {
    Err(NotBuilt::Invalid(vec![]))
}
