//! From what users wrote to the strict domain: parse, don't check.

use rollpin_crds::AgentReleaseSpec;

use crate::policy::{Policy, Settings};

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code of a pre-flight check, such as `C01`; empty otherwise.
    pub code: &'static str,
    /// The field, such as `spec.bundle.tools.items[2].inputSchema`.
    pub field: String,
    /// What is wrong, and what to write instead; one sentence.
    pub message: String,
}

/// The policy that a new attempt would freeze, and what acts at once.
pub fn policy(_spec: &AgentReleaseSpec) -> Result<(Policy, Settings), Vec<Problem>> {
    Err(vec![])
}
