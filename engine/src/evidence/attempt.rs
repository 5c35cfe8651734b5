//! One attempt: signals of two releases in, evidence out.
//!
//! It knows who is counted, in which stratum, and when a stratum is final. It reads no clock: every moment is given to it,
//! in milliseconds since 1970. It judges nothing.

use super::cohort::{Cutter, Placed};
use super::distribution::Distribution;
use super::fold::GateFold;
use super::outcome::Number;
use super::rate::Arrivals;
use super::sample_ratio::SampleRatio;
use super::session::{Fate, Heeded, Limits, Table};
use super::signal::{Arm, Kind, Signal};
use super::{Evidence, NumberEvidence, Sessions, Sight};
use crate::policy::Policy;

/// What is said of an attempt whose source is no longer sampled: what it counted meanwhile stays biased.
const WAS_SAMPLED: &str =
    "a sampler stood before the telemetry of this attempt: its rates are biased, so its gates read Insufficient";

/// The two releases, by the names that signals carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arms {
    /// The release on trial.
    pub canary: String,
    /// The release that serves.
    pub stable: String,
}

impl Arms {
    /// Which arm a release is, if any.
    #[must_use]
    pub fn arm_of(&self, release: &str) -> Option<Arm> {
        if release == self.canary {
            Some(Arm::Canary)
        } else if release == self.stable {
            Some(Arm::Stable)
        } else {
            None
        }
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    arms: Arms,
    limits: Limits,
    since: i64,
    weighted_since: i64,
    keep_millis: i64,
    table: Table,
    cutter: Cutter,
    gates: Vec<GateFold>,
    evaluations_seen: Vec<String>,
    sample_ratio: SampleRatio,
    sessions: Sessions,
    arrivals: Arrivals,
    numbers: Vec<NumberEvidence>,
    heard: [Option<i64>; 2],
    started: [Option<i64>; 2],
    blind: Option<(String, i64)>,
    sampled: Option<String>,
}

impl Attempt {
    /// A new attempt, at a step with a weight.
    #[must_use]
    pub fn new(policy: &Policy, arms: Arms, limits: Limits, step: usize, weight: i64, now: i64) -> Self {
        Self::restore(policy, arms, limits, step, weight, now, &Evidence::default())
    }

    /// An attempt that goes on after a restart. The sessions that were open are lost, in both arms, and counted.
    #[must_use]
    pub fn restore(
        policy: &Policy,
        arms: Arms,
        limits: Limits,
        step: usize,
        weight: i64,
        now: i64,
        stored: &Evidence,
    ) -> Self {
        let next = stored.gates.iter().map(|gate| gate.strata).fold(stored.next_stratum, i64::max);
        let steps = policy.steps.len();
        let gates = policy
            .gates
            .iter()
            .map(|gate| match stored.gates.iter().find(|known| known.gate == gate.name) {
                Some(known) => GateFold::resume(gate, steps, next, known),
                None => GateFold::new(gate, steps, next),
            })
            .collect();
        let mut sessions = stored.sessions.clone();
        sessions.dropped += stored.open;
        Self {
            arms,
            limits,
            since: now,
            weighted_since: now,
            keep_millis: keep_millis(policy, &limits),
            table: Table::default(),
            cutter: Cutter::new(policy.strata.clone(), now, step, weight, next),
            gates,
            evaluations_seen: Vec::new(),
            sample_ratio: SampleRatio::resume(sessions.sample_ratio),
            sessions,
            arrivals: Arrivals::default(),
            numbers: resume_numbers(&stored.numbers),
            heard: [None; 2],
            started: [None; 2],
            blind: None,
            sampled: matches!(stored.sight, Sight::Sampled { .. }).then(|| WAS_SAMPLED.to_owned()),
        }
    }

    /// The two releases.
    #[must_use]
    pub fn arms(&self) -> &Arms {
        &self.arms
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.table.len()
    }

    /// Another bound on open sessions, where several attempts share one memory.
    pub fn set_room(&mut self, open_sessions: usize) {
        self.limits.open_sessions = open_sessions;
    }

    /// From now on, new sessions are shared by this weight.
    pub fn set_weight(&mut self, now: i64, step: usize, weight: i64) {
        if self.cutter.weight() != weight {
            self.weighted_since = now;
        }
        self.cutter.change_weight(now, step, weight);
    }

    /// The source is broken, or works again.
    pub fn set_blind(&mut self, why: Option<(String, i64)>) {
        self.blind = why;
    }

    /// A sampler stands before the source, or no longer does. Once sessions were counted behind one, the attempt stays
    /// sampled: nobody can tell afterwards which of them were left out.
    pub fn set_sampled(&mut self, why: Option<String>) {
        let counted = self.sessions.canary + self.sessions.stable > 0;
        self.sampled = match (why, self.sampled.take()) {
            (Some(why), _) => Some(why),
            (None, Some(_)) if counted => Some(WAS_SAMPLED.to_owned()),
            (None, _) => None,
        };
    }

    /// Takes a signal in. One of a third release changes nothing.
    pub fn take(&mut self, signal: &Signal) {
        let Some(arm) = self.arms.arm_of(&signal.release) else {
            return;
        };
        if let Some(heard) = self.heard.get_mut(arm as usize) {
            *heard = (*heard).max(Some(signal.received_millis));
        }
        self.note_evaluations(&signal.kind);
        let before = self.folded_outcomes(&signal.conversation);
        let heeded = self.table.take(arm, signal, self.since, &self.limits, self.keep_millis);
        self.sessions.late += self.changed_since(&signal.conversation, &before);
        self.heed(heeded, signal.received_millis);
    }

    fn heed(&mut self, heeded: Heeded, received: i64) {
        match heeded {
            Heeded::Nothing => {}
            Heeded::Preassigned => self.sessions.preassigned += 1,
            Heeded::Unassigned => self.sessions.unassigned += 1,
            Heeded::Moved => self.sessions.moved += 1,
            Heeded::Dropped => self.sessions.dropped += 1,
            Heeded::Began { conversation, arm, at } => {
                self.arrivals.count(received);
                if let Some(started) = self.started.get_mut(arm as usize) {
                    *started = (*started).max(Some(received));
                }
                let placed = self.cutter.place(at, conversation.clone(), arm, self.folded_by_any());
                self.count_start(arm, &conversation, placed);
            }
        }
    }

    fn count_start(&mut self, arm: Arm, conversation: &str, placed: Placed) {
        let session = self.table.get_mut(conversation);
        match (placed, session) {
            (Placed::TooLate, Some(session)) => {
                session.fate = Fate::NotCounted;
                self.sessions.dropped += 1;
                return;
            }
            (Placed::Joined { stratum }, Some(session)) => session.stratum = Some(stratum),
            (Placed::Waits, _) | (_, None) => {}
        }
        match arm {
            Arm::Canary => self.sessions.canary += 1,
            Arm::Stable => self.sessions.stable += 1,
        }
    }

    fn note_evaluations(&mut self, kind: &Kind) {
        let Kind::Evaluation { name, .. } = kind else {
            return;
        };
        let owed = self.gates.iter().any(|gate| gate.owes() == Some(name));
        if owed && !self.evaluations_seen.contains(name) {
            self.evaluations_seen.push(name.clone());
        }
    }

    /// Outcomes that are folded already: whatever changes them comes late.
    fn folded_outcomes(&self, conversation: &str) -> Vec<Option<bool>> {
        let Some(session) = self.table.get(conversation) else {
            return Vec::new();
        };
        let Some(stratum) = session.stratum else {
            return Vec::new();
        };
        let folded = self.gates.iter().filter(|gate| gate.next() > stratum);
        folded.map(|gate| gate.outcome_of(session, &self.evaluations_seen)).collect()
    }

    fn changed_since(&self, conversation: &str, before: &[Option<bool>]) -> i64 {
        if before.is_empty() {
            return 0;
        }
        let after = self.folded_outcomes(conversation);
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        i64::try_from(changed).unwrap_or(i64::MAX)
    }

    fn folded_by_any(&self) -> i64 {
        self.gates.iter().map(GateFold::next).max().unwrap_or(0)
    }

    fn folded_by_all(&self) -> i64 {
        self.gates.iter().map(GateFold::next).min().unwrap_or_else(|| self.cutter.next_id())
    }

    /// Closes and folds everything whose time has come. True when some gate has more evidence than before.
    pub fn advance(&mut self, now: i64) -> bool {
        let first_new = self.cutter.next_id();
        if self.cutter.advance(now - self.limits.grace_millis) > 0 {
            self.note_closed(first_new);
        }
        let grew = self.fold_matured(now);
        self.finish_folded();
        self.table.expire(now, self.keep_millis);
        grew
    }

    fn note_closed(&mut self, first_new: i64) {
        for stratum in self.cutter.closed().filter(|stratum| stratum.id >= first_new) {
            // A sampler may well keep more of one arm: that says nothing about the router.
            if self.sampled.is_none() {
                self.sample_ratio.add(stratum.weight, stratum.count(Arm::Canary), stratum.count(Arm::Stable));
            }
            for (_, conversation) in stratum.members.keys() {
                if let Some(session) = self.table.get_mut(conversation) {
                    session.stratum = Some(stratum.id);
                }
            }
        }
        self.sessions.sample_ratio = self.sample_ratio.units();
    }

    fn fold_matured(&mut self, now: i64) -> bool {
        let grace = self.limits.grace_millis;
        let mut grew = false;
        for gate in &mut self.gates {
            let next = gate.next();
            for stratum in self.cutter.closed().filter(|stratum| stratum.id >= next) {
                if gate.matures_at(stratum, grace) > now {
                    break;
                }
                gate.fold(stratum, &self.table, &self.evaluations_seen);
                grew = true;
            }
        }
        grew
    }

    /// Strata that every gate has folded are forgotten; their sessions stay a while, so that late outcomes are seen.
    fn finish_folded(&mut self) {
        for stratum in self.cutter.forget_below(self.folded_by_all()) {
            for ((_, conversation), arm) in &stratum.members {
                let Some(session) = self.table.get_mut(conversation).filter(|one| one.fate == Fate::Counted) else {
                    continue;
                };
                session.fate = Fate::Folded;
                for (number, known) in Number::ALL.into_iter().zip(&mut self.numbers) {
                    let side = if *arm == Arm::Canary { &mut known.canary } else { &mut known.stable };
                    if let Some(value) = session.heard.number(number) {
                        side.add(value);
                    }
                }
            }
        }
    }

    /// The evidence at this moment, after `advance`.
    #[must_use]
    pub fn evidence(&self, now: i64) -> Evidence {
        let closed: usize = self.cutter.closed().map(|stratum| stratum.members.len()).sum();
        Evidence {
            sight: self.sight(now),
            sessions: self.sessions.clone(),
            rate: self.arrivals.per_second(now),
            gates: self.gates.iter().map(|gate| gate.evidence().clone()).collect(),
            numbers: self
                .numbers
                .iter()
                .filter(|number| number.canary.count + number.stable.count > 0)
                .cloned()
                .collect(),
            open: i64::try_from(closed + self.cutter.unplaced()).unwrap_or(i64::MAX),
            next_stratum: self.cutter.next_id(),
        }
    }

    fn sight(&self, now: i64) -> Sight {
        if let Some(why) = self.sampled.clone() {
            return Sight::Sampled { why };
        }
        if let Some((why, since_millis)) = self.blind.clone() {
            return Sight::Blind { why, since_millis };
        }
        if let Some(since_millis) = self.all_stopped(now) {
            let why = "telemetry of both releases has stopped: no session has been heard of".to_owned();
            return Sight::Blind { why, since_millis };
        }
        let weight = self.cutter.weight();
        let quiet = [(Arm::Canary, weight, "the canary"), (Arm::Stable, 100 - weight, "stable")]
            .into_iter()
            .filter(|(_, share, _)| *share > 0)
            .find_map(|(arm, share, name)| self.silence(arm, share, name, now));
        quiet.map_or(Sight::Fresh, |why| Sight::Quiet { why })
    }

    /// Since when nothing is heard of either release, although thirty sessions are overdue: a source that broke, rather than
    /// an arm that says little.
    fn all_stopped(&self, now: i64) -> Option<i64> {
        let [Some(canary), Some(stable)] = self.heard else { return None };
        let last = canary.max(stable);
        let rate = self.arrivals.per_second(last)?;
        let silent = now - last;
        let overdue = rate * silent as f64 / 1_000.0;
        (silent > self.limits.quiet_millis && overdue >= 30.0).then_some(last)
    }

    /// Why an arm with traffic counts as quiet: nothing was ever heard of it, or ten sessions are overdue.
    fn silence(&self, arm: Arm, share: i64, name: &str, now: i64) -> Option<String> {
        let started = self.started.get(arm as usize).copied().flatten();
        let heard = self.heard.get(arm as usize).copied().flatten();
        let Some(started) = started else {
            return Some(match heard {
                Some(_) => format!(
                    "telemetry of {name} arrives, but no rollpin.session.start with rollpin.assignment=weighted: its sessions cannot be counted"
                ),
                None => format!("no telemetry of {name} has arrived yet"),
            });
        };
        let expected_rate = self.arrivals.per_second(now).unwrap_or(0.0) * share as f64 / 100.0;
        let silent = now - started.max(self.weighted_since);
        let overdue = if expected_rate > 0.0 { 10_000.0 / expected_rate } else { 0.0 };
        (silent as f64 > libm::fmax(self.limits.quiet_millis as f64, overdue))
            .then(|| format!("no session of {name} has been heard of for {} s", silent / 1_000))
    }
}

/// How long a session is kept: until the slowest gate of the longest stratum has folded it, and a minute more for what is late.
fn keep_millis(policy: &Policy, limits: &Limits) -> i64 {
    let slowest = policy.gates.iter().map(|gate| gate.maturity_millis).max().unwrap_or(0);
    slowest + policy.strata.max_millis + limits.skew_millis + 2 * limits.grace_millis + 60_000
}

fn resume_numbers(stored: &[NumberEvidence]) -> Vec<NumberEvidence> {
    let resume = |number: Number| {
        let fresh = NumberEvidence {
            name: number.name().to_owned(),
            canary: Distribution::default(),
            stable: Distribution::default(),
        };
        stored.iter().find(|known| known.name == fresh.name).cloned().unwrap_or(fresh)
    };
    Number::ALL.into_iter().map(resume).collect()
}
