//! One gate of an attempt: folds matured strata into counters and vectors, in the order of their numbers, each once.
//!
//! It judges nothing, and an outcome that comes after its stratum was folded changes nothing.

use super::cohort::Stratum;
use super::outcome::Outcome;
use super::process::{GateProcess, Outcomes};
use super::session::{Fate, Session, Table};
use super::signal::Arm;
use super::{Counts, GateEvidence, SliceEvidence};
use crate::policy::{GatePolicy, Role};

/// Slices that are counted apart; sessions of further ones count as `other`.
const MAX_SLICES: usize = 16;
const OTHER: &str = "other";

/// One gate of an attempt.
#[derive(Clone, Debug)]
pub struct GateFold {
    policy: GatePolicy,
    outcome: Outcome,
    evidence: GateEvidence,
}

impl GateFold {
    /// Without evidence.
    #[must_use]
    pub fn new(policy: &GatePolicy, steps: usize, next: i64) -> Self {
        let acts = policy.role != Role::Observed && policy.margin.is_some();
        let evidence = GateEvidence {
            gate: policy.name.clone(),
            strata: next,
            by_step: vec![0; steps],
            process: acts.then(|| GateProcess::new(policy)),
            ..GateEvidence::default()
        };
        Self { policy: policy.clone(), outcome: Outcome::named(&policy.outcome), evidence }
    }

    /// With the evidence of the same gate from before a restart. Strata that were open then are skipped.
    #[must_use]
    pub fn resume(policy: &GatePolicy, steps: usize, next: i64, stored: &GateEvidence) -> Self {
        let Self { policy, outcome, mut evidence } = Self::new(policy, steps, next);
        let process = match (evidence.process.take(), &stored.process) {
            (Some(_), Some(process)) => Some(process.clone()),
            (fresh, _) => fresh,
        };
        let mut by_step = stored.by_step.clone();
        by_step.resize(steps, 0);
        let evidence = GateEvidence { strata: next, by_step, process, ..stored.clone() };
        Self { policy, outcome, evidence }
    }

    /// What it has accumulated.
    #[must_use]
    pub fn evidence(&self) -> &GateEvidence {
        &self.evidence
    }

    /// What it looks at.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The evaluation that a session owes to this gate, if it looks at one and can act.
    #[must_use]
    pub fn owes(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Evaluation(name) if self.policy.role != Role::Observed => Some(name),
            Outcome::Evaluation(_)
            | Outcome::ToolError
            | Outcome::SchemaViolation
            | Outcome::EmptyOutput
            | Outcome::Truncated
            | Outcome::Missing
            | Outcome::Number(_)
            | Outcome::Unknown => None,
        }
    }

    /// When a stratum matures for this gate, telemetry's travel included.
    #[must_use]
    pub fn matures_at(&self, stratum: &Stratum, grace_millis: i64) -> i64 {
        stratum.last_start().saturating_add(self.policy.maturity_millis).saturating_add(grace_millis)
    }

    /// The number of the next stratum to fold.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.evidence.strata
    }

    /// What a session amounts to for this gate.
    #[must_use]
    pub fn outcome_of(&self, session: &Session, owed: &[String]) -> Option<bool> {
        let limit = session.began?.saturating_add(self.policy.maturity_millis);
        session.heard.outcome(&self.outcome, limit, owed)
    }

    /// Folds the next stratum. The caller sees to the order, and that its time has come.
    pub fn fold(&mut self, stratum: &Stratum, table: &Table, owed: &[String]) {
        let mut outcomes = Outcomes::default();
        for ((_, conversation), arm) in &stratum.members {
            let Some(session) = table.get(conversation).filter(|session| session.fate == Fate::Counted) else {
                continue;
            };
            let outcome = self.outcome_of(session, owed);
            outcomes.push(*arm, outcome);
            self.count(*arm, stratum.step, outcome);
            self.count_slices(*arm, session, outcome);
        }
        self.evidence.strata = stratum.id + 1;
        let known_before = self.evidence.canary.sessions + self.evidence.stable.sessions > 0;
        if let (Some(process), true) = (&mut self.evidence.process, known_before) {
            // While neither arm has ever reported the outcome, nothing is missing: it is not measured.
            process.fold(&self.policy, &outcomes);
        }
    }

    fn count(&mut self, arm: Arm, step: usize, outcome: Option<bool>) {
        match arm {
            Arm::Canary => self.evidence.canary.add(outcome),
            Arm::Stable => self.evidence.stable.add(outcome),
        }
        if let (Arm::Canary, Some(_), Some(seen)) = (arm, outcome, self.evidence.by_step.get_mut(step)) {
            *seen += 1;
        }
    }

    fn count_slices(&mut self, arm: Arm, session: &Session, outcome: Option<bool>) {
        for label in &self.policy.slices {
            let Some((_, value)) = session.slices.iter().find(|(name, _)| name == label) else {
                continue;
            };
            let slice = slice_of(&mut self.evidence.slices, format!("{label}={value}"));
            if let Some(slice) = slice {
                match arm {
                    Arm::Canary => slice.canary.add(outcome),
                    Arm::Stable => slice.stable.add(outcome),
                }
            }
        }
    }
}

fn slice_of(slices: &mut Vec<SliceEvidence>, name: String) -> Option<&mut SliceEvidence> {
    let full = slices.iter().filter(|known| known.slice != OTHER).count() >= MAX_SLICES;
    let name = if full && slices.iter().all(|known| known.slice != name) { OTHER.to_owned() } else { name };
    if slices.iter().all(|known| known.slice != name) {
        slices.push(SliceEvidence { slice: name.clone(), ..SliceEvidence::default() });
    }
    slices.iter_mut().find(|known| known.slice == name)
}

impl Counts {
    /// Counts one session: bad, good, or without an outcome.
    pub fn add(&mut self, outcome: Option<bool>) {
        match outcome {
            Some(bad) => {
                self.sessions += 1;
                self.bad += i64::from(bad);
            }
            None => self.missing += 1,
        }
    }
}
