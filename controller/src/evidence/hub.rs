//! All attempts under way and all baselines, behind one lock that is held for moments only.
//!
//! The reconciler begins, asks and ends; the receiver tells. Nothing here waits, and nothing here decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rollpin_engine::evidence::attempt::Arms;
use rollpin_engine::evidence::{Attempt, BaselineFold, Evidence, Kind, Limits, Signal};
use rollpin_engine::observed::BaselineSeen;
use rollpin_engine::policy::Policy;
use tokio::sync::Notify;

use super::identity::canonical;

/// Sessions that all attempts together may keep open.
const MAX_OPEN: usize = 400_000;
/// Releases of one agent whose last signal is remembered.
const MAX_HEARD: usize = 32;

/// `namespace/name` of an agent.
pub type Key = String;

/// An attempt, as the reconciler knows it.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The frozen policy.
    pub policy: &'a Policy,
    /// Digest of the release on trial, in any form.
    pub canary: &'a str,
    /// Digest of the release that serves, in any form.
    pub stable: &'a str,
    /// Index of the step.
    pub step: usize,
    /// Percent of new sessions that begin on the canary.
    pub weight: i64,
}

/// A `MetricSource` before which a sampler stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Name of the source.
    pub source: String,
    /// Namespaces whose releases use it; `*` is all.
    pub namespaces: Vec<String>,
}

#[derive(Debug, Default)]
struct Agent {
    attempt: Option<Attempt>,
    baseline: Option<BaselineFold>,
    heard: BTreeMap<String, i64>,
}

#[derive(Debug)]
struct State {
    agents: HashMap<Key, Agent>,
    blind: Option<(String, i64)>,
    samplers: Vec<Sampler>,
}

/// All attempts under way and all baselines.
#[derive(Debug)]
pub struct EvidenceHub {
    limits: Limits,
    state: Mutex<State>,
    matured: Mutex<BTreeSet<Key>>,
    wake: Notify,
}

impl EvidenceHub {
    /// An empty hub. Until a receiver says that it listens, everything is blind.
    #[must_use]
    pub fn new(limits: Limits, now: i64) -> Self {
        let blind = Some(("the OTLP receiver is not running".to_owned(), now));
        Self {
            limits,
            state: Mutex::new(State { agents: HashMap::new(), blind, samplers: vec![] }),
            matured: Mutex::new(BTreeSet::new()),
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while folding leaves counters that were true a moment ago.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers evidence for an attempt, or goes on doing so: called again for the same two releases it only follows the
    /// weight. `restore` is what the ledger holds from before a restart.
    pub fn begin(&self, key: &str, trial: Trial<'_>, restore: Option<&Evidence>, now: i64) {
        let mut state = self.lock();
        let (blind, sampled) = (state.blind.clone(), sampled(&state.samplers, key));
        let agent = state.agents.entry(key.to_owned()).or_default();
        let arms = Arms { canary: canonical(trial.canary), stable: canonical(trial.stable) };
        if let Some(attempt) = agent.attempt.as_mut().filter(|attempt| *attempt.arms() == arms) {
            attempt.set_weight(now, trial.step, trial.weight);
            return;
        }
        let nothing = Evidence::default();
        let stored = restore.unwrap_or(&nothing);
        let mut attempt = Attempt::restore(trial.policy, arms, self.limits, trial.step, trial.weight, now, stored);
        attempt.set_blind(blind);
        attempt.set_sampled(sampled);
        agent.attempt = Some(attempt);
        if let Some(baseline) = &mut agent.baseline {
            baseline.pause();
        }
    }

    /// Whether evidence is being gathered for an attempt.
    #[must_use]
    pub fn is_gathering(&self, key: &str, canary: &str, stable: &str) -> bool {
        let arms = Arms { canary: canonical(canary), stable: canonical(stable) };
        let state = self.lock();
        state.agents.get(key).and_then(|agent| agent.attempt.as_ref()).is_some_and(|attempt| *attempt.arms() == arms)
    }

    /// From now on, new sessions are shared by another weight.
    pub fn set_weight(&self, key: &str, step: usize, weight: i64, now: i64) {
        if let Some(attempt) = self.lock().agents.get_mut(key).and_then(|agent| agent.attempt.as_mut()) {
            attempt.set_weight(now, step, weight);
        }
    }

    /// The attempt is over: its open sessions are forgotten.
    pub fn end(&self, key: &str) {
        if let Some(agent) = self.lock().agents.get_mut(key) {
            agent.attempt = None;
        }
    }

    /// The agent is gone.
    pub fn forget(&self, key: &str) {
        self.lock().agents.remove(key);
    }

    /// What the serving release does between attempts. The policy, where there is one, is that of the next attempt.
    pub fn watch_serving(&self, key: &str, digest: &str, policy: Option<&Policy>) {
        let digest = canonical(digest);
        let mut state = self.lock();
        let agent = state.agents.entry(key.to_owned()).or_default();
        match agent.baseline.as_mut().filter(|baseline| baseline.release() == digest) {
            Some(baseline) => baseline.set_policy(policy),
            None => agent.baseline = Some(BaselineFold::new(&digest, policy, self.limits)),
        }
    }

    /// The evidence of the attempt under way; absent when there is none.
    #[must_use]
    pub fn snapshot(&self, key: &str, now: i64) -> Option<Evidence> {
        let mut state = self.lock();
        let attempt = state.agents.get_mut(key)?.attempt.as_mut()?;
        attempt.advance(now);
        Some(attempt.evidence(now))
    }

    /// What stable was seen to do before an attempt.
    #[must_use]
    pub fn baseline(&self, key: &str, now: i64) -> BaselineSeen {
        let mut state = self.lock();
        let Some(baseline) = state.agents.get_mut(key).and_then(|agent| agent.baseline.as_mut()) else {
            return BaselineSeen::default();
        };
        baseline.advance(now);
        baseline.seen(now)
    }

    /// When something last *began* on a release (a session, a turn, a tool call), in milliseconds since 1970. Telemetry that is
    /// late does not count as new.
    #[must_use]
    pub fn heard(&self, key: &str, digest: &str) -> Option<i64> {
        self.lock().agents.get(key)?.heard.get(&canonical(digest)).copied()
    }

    /// The agents that may be meant by a digest, in these namespaces.
    #[must_use]
    pub fn agents_of(&self, digest: &str, namespaces: &[String], namespace: Option<&str>) -> Vec<Key> {
        let digest = canonical(digest);
        let named = |own: &str| namespace.is_none_or(|name| name == own);
        let state = self.lock();
        let mut keys: Vec<Key> = state
            .agents
            .iter()
            .filter(|(key, agent)| {
                let own = key.split('/').next().unwrap_or_default();
                covers(namespaces, own) && named(own) && agent.knows(&digest)
            })
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort();
        keys
    }

    /// Takes signals of one agent in.
    pub fn take(&self, key: &str, signals: &[Signal]) {
        let mut state = self.lock();
        let agent = state.agents.entry(key.to_owned()).or_default();
        for signal in signals {
            agent.take(signal);
        }
    }

    /// Closes and folds what is due, and tells whom it concerns.
    pub fn advance(&self, now: i64) {
        let mut grown = Vec::new();
        {
            let mut state = self.lock();
            let open: usize = state.agents.values().map(Agent::open_sessions).sum();
            let room = MAX_OPEN.saturating_sub(open);
            for (key, agent) in &mut state.agents {
                if let Some(attempt) = &mut agent.attempt {
                    attempt.set_room(self.limits.open_sessions.min(attempt.open_sessions() + room));
                    if attempt.advance(now) {
                        grown.push(key.clone());
                    }
                }
                if let Some(baseline) = &mut agent.baseline {
                    baseline.advance(now);
                }
            }
        }
        self.tell(grown);
    }

    fn tell(&self, keys: Vec<Key>) {
        if !keys.is_empty() {
            self.matured.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
            self.wake.notify_one();
        }
    }

    /// Waits until some attempts have other evidence than before, and says which; many changes are one answer.
    pub async fn matured(&self) -> Vec<Key> {
        loop {
            let due = std::mem::take(&mut *self.matured.lock().unwrap_or_else(PoisonError::into_inner));
            if !due.is_empty() {
                return due.into_iter().collect();
            }
            self.wake.notified().await;
        }
    }

    /// The receiver is broken, or works again: concerns every attempt.
    pub fn set_blind(&self, why: Option<&str>, now: i64) {
        let mut state = self.lock();
        state.blind = why.map(|why| (why.to_owned(), now));
        let blind = state.blind.clone();
        for attempt in state.agents.values_mut().filter_map(|agent| agent.attempt.as_mut()) {
            attempt.set_blind(blind.clone());
        }
    }

    /// The samplers that stand before telemetry from now on: concerns the attempts in their namespaces.
    pub fn set_sampled(&self, samplers: Vec<Sampler>) {
        let mut state = self.lock();
        if state.samplers == samplers {
            return;
        }
        let mut touched = Vec::new();
        for (key, agent) in &mut state.agents {
            if let Some(attempt) = &mut agent.attempt {
                attempt.set_sampled(sampled(&samplers, key));
                touched.push(key.clone());
            }
        }
        state.samplers = samplers;
        drop(state);
        self.tell(touched);
    }
}

/// Why the telemetry of an agent is biased, if a sampler stands before it.
fn sampled(samplers: &[Sampler], key: &str) -> Option<String> {
    let own = key.split('/').next().unwrap_or_default();
    let sampler = samplers.iter().find(|sampler| covers(&sampler.namespaces, own))?;
    Some(format!("MetricSource {} is sampled: every rate is biased, so its gates read Insufficient", sampler.source))
}

/// Whether a list of namespaces, in which `*` is all, has this one.
fn covers(namespaces: &[String], own: &str) -> bool {
    namespaces.iter().any(|name| name == "*" || name == own)
}

impl Agent {
    fn knows(&self, digest: &str) -> bool {
        let on_trial = self.attempt.as_ref().is_some_and(|attempt| attempt.arms().arm_of(digest).is_some());
        on_trial
            || self.baseline.as_ref().is_some_and(|baseline| baseline.release() == digest)
            || self.heard.contains_key(digest)
    }

    fn open_sessions(&self) -> usize {
        self.attempt.as_ref().map_or(0, Attempt::open_sessions)
            + self.baseline.as_ref().map_or(0, BaselineFold::open_sessions)
    }

    fn take(&mut self, signal: &Signal) {
        self.note_heard(signal);
        match (&mut self.attempt, &mut self.baseline) {
            (Some(attempt), _) => attempt.take(signal),
            (None, Some(baseline)) => baseline.take(signal),
            (None, None) => {}
        }
    }

    fn note_heard(&mut self, signal: &Signal) {
        match signal.kind {
            Kind::Start(_) | Kind::Turn(_) | Kind::Tool { .. } => {}
            Kind::Evaluation { .. } | Kind::End => return,
        }
        let at = signal.at_millis.min(signal.received_millis);
        if let Some(last) = self.heard.get_mut(&signal.release) {
            *last = (*last).max(at);
            return;
        }
        if self.heard.len() >= MAX_HEARD {
            let oldest = self.heard.iter().min_by_key(|(_, at)| **at).map(|(release, _)| release.clone());
            oldest.and_then(|release| self.heard.remove(&release));
        }
        self.heard.insert(signal.release.clone(), at);
    }
}
