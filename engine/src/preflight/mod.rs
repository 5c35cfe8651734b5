//! Static checks of a release, with stable codes: E blocks, W warns, A needs an approval.
//!
//! Only what can be decided from the spec and its content. What needs the stable release, an MCP server or an index is
//! checked elsewhere, and never passes silently here.

mod context;
mod later;
mod model;
mod pod;
mod prompt;
mod runtime;
mod schema;
mod text;
mod tools;

#[cfg(test)]
mod tests;

use rollpin_crds::AgentReleaseSpec;

use crate::digest::Contents;
use crate::validate::Problem;

/// What a finding means for a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Blocks.
    Error,
    /// A named person has to approve it.
    NeedsApproval,
    /// Said, and nothing more.
    Warning,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable code, such as `P01`.
    pub code: &'static str,
    /// What it means for a rollout.
    pub severity: Severity,
    /// The field.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl Finding {
    fn error(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, field: field.into(), message: message.into() }
    }

    fn warning(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, field: field.into(), message: message.into() }
    }

    /// Whether a rollout must not begin.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl From<Finding> for Problem {
    fn from(finding: Finding) -> Self {
        Self { code: finding.code, field: finding.field, message: finding.message }
    }
}

/// All checks over a spec; texts behind references are left out.
#[must_use]
pub fn check(spec: &AgentReleaseSpec) -> Vec<Finding> {
    check_with(spec, &Contents::new())
}

/// All checks over a spec and the content that it refers to, the blocking ones first.
#[must_use]
pub fn check_with(spec: &AgentReleaseSpec, contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(model::check(&spec.bundle));
    findings.extend(prompt::check(&spec.bundle, contents));
    findings.extend(text::check(&spec.bundle, contents));
    findings.extend(tools::check(&spec.bundle));
    findings.extend(context::check(&spec.bundle));
    findings.extend(runtime::check(&spec.bundle, spec.traffic.gateway.timeouts.as_ref()));
    findings.extend(pod::check(spec));
    findings.extend(later::check(spec));
    findings.sort_by_key(|finding| finding.severity);
    findings
}
