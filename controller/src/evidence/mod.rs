//! The OTLP receiver: telemetry of harnesses in, evidence of attempts out.
//!
//! A thin shell around `rollpin_engine::evidence`: it listens, checks who speaks, decodes, and asks the clock. It judges
//! nothing and writes nothing to the cluster. It runs on threads of its own, so that a flood of telemetry delays no rollback.

pub mod aliases;
pub mod counters;
pub mod grpc;
pub mod http;
pub mod hub;
pub mod identity;
pub mod join;
pub mod otlp;
pub mod receiver;
pub mod server;

#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use hub::{EvidenceHub, Sampler, Trial};
pub use identity::{Directory, Listed, Speaker};
pub use receiver::Receiver;
pub use server::{Addresses, Running, serve};

/// Milliseconds since 1970: the one place where evidence meets the clock.
#[must_use]
pub fn now_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
