//! The API types of rollpin, group `rollpin.dev/v1alpha1`: what users write and what kubectl shows.
//!
//! Types and their schemas only. No decision is made here, nothing is hashed, and nothing talks to a cluster.

pub mod bundle;
pub mod command;
pub mod gate;
pub mod ledger;
pub mod record;
pub mod release;
pub mod revision;
pub mod rollout;
pub mod schema;
pub mod source;
pub mod status;
pub mod traffic;

pub use bundle::Bundle;
pub use command::{ReleaseCommand, ReleaseCommandSpec, ReleaseCommandStatus, Verb};
pub use gate::{Gate, GateTemplate, GateTemplateSpec};
pub use ledger::{EvidenceLedger, EvidenceLedgerSpec, EvidenceLedgerStatus};
pub use record::{DecisionRecord, DecisionRecordSpec};
pub use release::{AgentRelease, AgentReleaseSpec};
pub use revision::{AgentRevision, AgentRevisionSpec, AgentRevisionStatus};
pub use schema::custom_resource_definitions;
pub use source::{MetricSource, MetricSourceSpec, MetricSourceStatus};
pub use status::{AgentReleaseStatus, Phase, State};

/// The API group of every kind.
pub const GROUP: &str = "rollpin.dev";

/// The API version of every kind.
pub const VERSION: &str = "v1alpha1";

/// Label on every pod, Deployment, Service, `ConfigMap` and revision: the release digest, 52 characters of base32.
pub const RELEASE_LABEL: &str = "rollpin.dev/release";

/// Label on every object that belongs to an `AgentRelease`: its name.
pub const NAME_LABEL: &str = "rollpin.dev/name";

/// Label on ledgers: the behaviour digest, 52 characters of base32.
pub const BEHAVIOR_LABEL: &str = "rollpin.dev/behavior";

/// The request and response header that carries the release of a conversation.
pub const PIN_HEADER: &str = "x-agent-release";

/// The request header by which the gateway tells a harness whether a request was `weighted` or `pinned`.
pub const ASSIGNMENT_HEADER: &str = "x-agent-assignment";

/// The path below which a harness answers 200 for the digest that it loaded, and 503 for any other.
pub const WELL_KNOWN_PATH: &str = "/.well-known/agent-release";

/// Where the bundle is mounted in the harness container.
pub const MOUNT_PATH: &str = "/etc/agent-release";

/// The field manager of every server-side apply, and the name of the operator.
pub const MANAGER: &str = "rollpin";
