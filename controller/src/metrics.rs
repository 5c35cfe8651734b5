//! The operator's own metrics, and the small server that shows them with its health.
//!
//! Counts only: nothing here is ever read by a decision.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rollpin_crds::status::{AgentReleaseStatus, Phase};
use rollpin_engine::phase;

use crate::evidence::Counters;

/// Every phase, so that the gauges of the others go back to 0.
const PHASES: [Phase; 8] = [
    Phase::Pending,
    Phase::Progressing,
    Phase::Paused,
    Phase::RollingBack,
    Phase::RolledBack,
    Phase::Baking,
    Phase::Healthy,
    Phase::Failed,
];

/// The metrics.
pub struct Metrics {
    registry: Mutex<Registry>,
    phase: Family<PhaseLabels, Gauge>,
    weight: Family<ReleaseLabels, Gauge>,
    sessions: Family<SessionLabels, Gauge<f64, AtomicU64>>,
    verdicts: Family<VerdictLabels, Gauge>,
    reconciles: Counter,
    decisions: Family<DecisionLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    leader: Gauge,
    ready: AtomicBool,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReleaseLabels {
    namespace: String,
    release: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PhaseLabels {
    namespace: String,
    release: String,
    phase: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SessionLabels {
    namespace: String,
    release: String,
    gate: String,
    arm: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    namespace: String,
    release: String,
    gate: String,
    verdict: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    to: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    kind: String,
}

impl Metrics {
    /// All of them at 0.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("rollpin");
        let metrics = Self {
            registry: Mutex::default(),
            phase: Family::default(),
            weight: Family::default(),
            sessions: Family::default(),
            verdicts: Family::default(),
            reconciles: Counter::default(),
            decisions: Family::default(),
            failures: Family::default(),
            leader: Gauge::default(),
            ready: AtomicBool::new(false),
        };
        registry.register("release_phase", "1 for the phase that a release is in", metrics.phase.clone());
        registry.register(
            "release_weight_percent",
            "Share of new sessions that begin on the desired release",
            metrics.weight.clone(),
        );
        registry.register("gate_sessions", "Matured sessions of the attempt under way", metrics.sessions.clone());
        registry.register("gate_verdict", "1 for the verdict of a gate", metrics.verdicts.clone());
        registry.register("reconciles", "Looks at a release", metrics.reconciles.clone());
        registry.register("decisions", "Edges by the phase that they led to", metrics.decisions.clone());
        registry.register("reconcile_failures", "Looks that could not be finished", metrics.failures.clone());
        registry.register("leader", "1 while this replica leads", metrics.leader.clone());
        Self { registry: Mutex::new(registry), ..metrics }
    }

    /// Shows the counters of the receiver, too.
    pub fn show(&self, counters: Arc<Counters>) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(Received(counters)));
    }

    /// One look was finished.
    pub fn looked(&self, namespace: &str, name: &str, status: &AgentReleaseStatus) {
        self.reconciles.inc();
        let (namespace, release) = (namespace.to_owned(), name.to_owned());
        for phase in PHASES {
            let labels = PhaseLabels {
                namespace: namespace.clone(),
                release: release.clone(),
                phase: phase::name(phase).to_owned(),
            };
            self.phase.get_or_create(&labels).set(i64::from(status.phase == Some(phase)));
        }
        let labels = ReleaseLabels { namespace: namespace.clone(), release: release.clone() };
        self.weight.get_or_create(&labels).set(status.weight.unwrap_or_default());
        for gate in &status.gates {
            for verdict in ["Pass", "Fail", "Insufficient", "Blind"] {
                let labels = VerdictLabels {
                    namespace: namespace.clone(),
                    release: release.clone(),
                    gate: gate.name.clone(),
                    verdict: verdict.to_owned(),
                };
                self.verdicts.get_or_create(&labels).set(i64::from(gate.verdict == verdict));
            }
            for (arm, outcome, count) in [
                ("canary", "any", gate.canary_sessions),
                ("canary", "bad", gate.canary_bad),
                ("stable", "any", gate.stable_sessions),
                ("stable", "bad", gate.stable_bad),
            ] {
                let labels = SessionLabels {
                    namespace: namespace.clone(),
                    release: release.clone(),
                    gate: gate.name.clone(),
                    arm: arm.to_owned(),
                    outcome: outcome.to_owned(),
                };
                self.sessions.get_or_create(&labels).set(count as f64);
            }
        }
    }

    /// A release was deleted: its series end.
    pub fn forget(&self, namespace: &str, name: &str) {
        for phase in PHASES {
            self.phase.remove(&PhaseLabels {
                namespace: namespace.to_owned(),
                release: name.to_owned(),
                phase: phase::name(phase).to_owned(),
            });
        }
        self.weight.remove(&ReleaseLabels { namespace: namespace.to_owned(), release: name.to_owned() });
    }

    /// An edge was committed.
    pub fn decided(&self, to: Phase) {
        self.decisions.get_or_create(&DecisionLabels { to: phase::name(to).to_owned() }).inc();
    }

    /// A look failed.
    pub fn failed(&self, kind: &str) {
        self.failures.get_or_create(&FailureLabels { kind: kind.to_owned() }).inc();
    }

    /// This replica leads, or does not.
    pub fn lead(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// This replica can serve: it reached the API server, and as leader has read the cluster.
    pub fn ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

/// What the receiver counts about itself.
#[derive(Debug)]
struct Received(Arc<Counters>);

impl Collector for Received {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, count) in self.0.all() {
            let counter = ConstCounter::new(count);
            let name = format!("otlp_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

/// Serves metrics and health until the process ends.
pub async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let shown = Arc::clone(&metrics);
    let app = Router::new()
        .route(
            "/metrics",
            get(move || async move {
                ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], shown.text())
            }),
        )
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(move || async move {
                if metrics.ready.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
            }),
        );
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_in_one_phase_at_a_time() {
        let metrics = Metrics::new();
        metrics.looked(
            "agents",
            "support",
            &AgentReleaseStatus { phase: Some(Phase::Progressing), ..AgentReleaseStatus::default() },
        );
        metrics.looked(
            "agents",
            "support",
            &AgentReleaseStatus { phase: Some(Phase::RolledBack), ..AgentReleaseStatus::default() },
        );
        let text = metrics.text();
        let at_one: Vec<&str> =
            text.lines().filter(|line| line.starts_with("rollpin_release_phase{") && line.ends_with(" 1")).collect();
        assert_eq!(
            at_one,
            vec!["rollpin_release_phase{namespace=\"agents\",release=\"support\",phase=\"RolledBack\"} 1"]
        );
        metrics.forget("agents", "support");
        assert!(!metrics.text().contains("rollpin_release_phase{"));
    }
}
