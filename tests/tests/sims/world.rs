//! A small world on a virtual clock that drives `decide` as the controller does: observe, decide, commit, act.
//!
//! It stands in for a cluster where only the order of events matters. Sessions are drawn from a seed; the evidence is
//! folded by the same code as in the controller. Every commit is checked, and every record is replayed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollpin_crds::DecisionRecordSpec;
use rollpin_crds::command::Verb;
use rollpin_crds::gate::Role;
use rollpin_crds::status::{AgentReleaseStatus, Phase, ReleaseRef, State};
use rollpin_engine::decide::{Decision, decide};
use rollpin_engine::evidence::attempt::Arms;
use rollpin_engine::evidence::{Assignment, Attempt, Kind, Limits, Signal, Start, Turn};
use rollpin_engine::observed::{
    BaselineSeen, CommandSeen, Identity, Observed, PastAttempt, PodProblem, RevisionSeen, RouteSeen, Wanted,
};
use rollpin_engine::plan::{Plan, plan};
use rollpin_engine::policy::{
    Baseline, Carrier, GatePolicy, OnInconclusive, OnRollback, Policy, ReadyWhen, Settings, Step, StrataPolicy,
};
use rollpin_engine::record::{self, Replay};

/// How the sessions of a release end.
#[derive(Clone, Copy, Debug)]
pub struct Behavior {
    /// Share of sessions that fail their task; absent: the harness never says.
    pub failures: Option<f64>,
    /// Pods become ready.
    pub comes_up: bool,
    /// Pods crash in a loop.
    pub crashes: bool,
}

impl Behavior {
    pub fn failing(share: f64) -> Self {
        Self { failures: Some(share), comes_up: true, crashes: false }
    }
    pub fn silent() -> Self {
        Self { failures: None, comes_up: true, crashes: false }
    }
}

/// The world.
pub struct World {
    pub now: i64,
    seed: u64,
    pub rate: f64,
    pub status: AgentReleaseStatus,
    pub spec: Wanted,
    pub policy: Policy,
    pub settings: Settings,
    behaviors: BTreeMap<String, Behavior>,
    revisions: BTreeMap<String, RevisionSeen>,
    route: Option<rollpin_engine::plan::RoutePlan>,
    attempt: Option<(String, Attempt)>,
    pub blind_since: Option<i64>,
    /// A sampler stands before the telemetry.
    pub sampled: bool,
    /// Telemetry of both releases is lost on its way.
    pub deaf: bool,
    /// Share of sessions that are also seen on the other release.
    pub wandering: f64,
    pub commands: Vec<CommandSeen>,
    pub past: Vec<PastAttempt>,
    pub records: Vec<DecisionRecordSpec>,
    pub phases: Vec<Phase>,
    pub said: Vec<String>,
    sessions: u64,
    commanded: u64,
    /// What stable was seen to do before an attempt, bad of 200.
    pub baseline_bad: i64,
    in_flight: Vec<Signal>,
}

const START: i64 = 1_790_000_000_000;
/// Milliseconds between two looks at the world.
const TICK: i64 = 250;

impl World {
    pub fn new(seed: u64) -> Self {
        let policy = policy();
        let settings = settings();
        Self {
            now: START,
            seed,
            rate: 40.0,
            status: AgentReleaseStatus::default(),
            spec: Wanted::Invalid { problems: vec![], settings: None },
            policy,
            settings,
            behaviors: BTreeMap::new(),
            revisions: BTreeMap::new(),
            route: None,
            attempt: None,
            blind_since: None,
            sampled: false,
            deaf: false,
            wandering: 0.0,
            commands: vec![],
            past: vec![],
            records: vec![],
            phases: vec![],
            said: vec![],
            sessions: 0,
            commanded: 0,
            baseline_bad: 10,
            in_flight: vec![],
        }
    }

    /// Applies a manifest: the spec asks for this release from now on.
    pub fn apply(&mut self, name: &str, behavior: Behavior) {
        let release = release(name);
        self.behaviors.insert(release.digest.clone(), behavior);
        self.spec = Wanted::Release {
            release,
            policy: self.policy.clone(),
            settings: self.settings.clone(),
            changed: vec!["prompt".to_owned()],
            warnings: vec![],
        };
    }

    /// A person gives a command.
    pub fn command(&mut self, verb: Verb, name: &str, reason: &str) {
        self.commanded += 1;
        let uid = format!("command-{}", self.commanded);
        self.commands.push(CommandSeen {
            uid: uid.clone(),
            name: uid,
            verb,
            digest: release(name).digest,
            by: "ada".to_owned(),
            reason: reason.to_owned(),
            full: false,
            no_bake_rollback: false,
            to: None,
            to_missing: None,
            expired: false,
        });
    }

    /// Deletes the object and creates it again: the status is gone, ledgers stay.
    pub fn recreate(&mut self) {
        self.past.extend(self.status.hold.iter().map(|hold| PastAttempt {
            behavior_digest: hold.behavior_digest.clone(),
            attempt: hold.attempt,
            hold: Some(hold.clone()),
        }));
        self.status = AgentReleaseStatus::default();
        self.revisions.clear();
        self.route = None;
        self.attempt = None;
        self.records.clear();
    }

    /// Runs for so many seconds.
    pub fn run(&mut self, seconds: i64) {
        for _ in 0..seconds * 1000 / TICK {
            self.tick();
        }
    }

    /// Runs until the phase is reached.
    pub fn run_to(&mut self, phase: Phase, seconds: i64) {
        for _ in 0..seconds * 1000 / TICK {
            self.tick();
            if self.status.phase == Some(phase) {
                return;
            }
        }
        panic!(
            "seed {}: {phase:?} was not reached in {seconds} s; {:?}: {:?}",
            self.seed, self.status.phase, self.status.message
        );
    }

    pub fn tick(&mut self) {
        self.now += TICK;
        self.traffic();
        for _ in 0..4 {
            if !self.reconcile() {
                break;
            }
        }
    }

    fn reconcile(&mut self) -> bool {
        let seen = self.observe();
        let decision = decide(&seen);
        assert_eq!(decision, decide(&seen), "a decision is a function");
        self.check(&decision);
        self.said.push(decision.because.clone());
        let edge = decision.edge;
        self.commit(&decision);
        self.act();
        edge
    }

    fn observe(&mut self) -> Observed {
        let now = self.now;
        let blind = self.blind_since.map(|since| ("the receiver is down".to_owned(), since));
        let sampled = self.sampled.then(|| "a sampler stands before the telemetry".to_owned());
        let evidence = self.attempt.as_mut().map(|(_, attempt)| {
            attempt.set_blind(blind);
            attempt.set_sampled(sampled);
            attempt.advance(now);
            attempt.evidence(now)
        });
        if let Wanted::Release { policy, settings, .. } = &mut self.spec {
            policy.clone_from(&self.policy);
            settings.clone_from(&self.settings);
        }
        let mut status = self.status.clone();
        status.pending_record = None;
        Observed {
            now: Timestamp::from_millisecond(self.now).unwrap(),
            release: Identity {
                namespace: "agents".into(),
                name: "support".into(),
                uid: "0123456789".into(),
                generation: 1,
            },
            desired: self.spec.clone(),
            status,
            revisions: self.revisions.values().cloned().collect(),
            route: RouteSeen {
                current: true,
                accepted: true,
                pin_holds: Some(true),
                withdrawn_reached: Some(false),
                ..RouteSeen::default()
            },
            evidence,
            baseline: BaselineSeen {
                rate: Some(self.rate),
                outcomes: [
                    ("task_success".to_owned(), Baseline { bad: self.baseline_bad, sessions: 200 }),
                    ("missing".to_owned(), Baseline { bad: 0, sessions: 200 }),
                ]
                .into(),
            },
            commands: self.commands.clone(),
            past: self.past.clone(),
        }
    }

    /// What must hold at every commit.
    fn check(&self, decision: &Decision) {
        let Some(State::Canary(after)) = &decision.status.state else { return };
        assert_ne!(after.live.digest, after.trial.digest, "a release is never on trial against itself");
        let held = decision.status.hold.iter().any(|hold| hold.behavior_digest == after.trial.behavior_digest);
        assert!(!held || after.weight == 0, "seed {}: a held release has weight: {}", self.seed, decision.because);
        let Some(State::Canary(before)) = &self.status.state else { return };
        if after.trial == before.trial && after.weight > before.weight {
            let ready = self.revisions.get(&after.trial.digest).is_some_and(|revision| revision.ready > 0);
            assert!(ready, "seed {}: weight without ready pods", self.seed);
            assert!(self.blind_since.is_none(), "seed {}: the weight rose while blind", self.seed);
        }
    }

    fn commit(&mut self, decision: &Decision) {
        if let Some(pending) = &decision.status.pending_record {
            let spec: DecisionRecordSpec = serde_json::from_str(&pending.spec).unwrap();
            // What does not fit its field could never be committed, a rollback included.
            assert!(pending.spec.len() <= 524_288 && spec.observed.len() <= 262_144, "{}", pending.spec.len());
            match record::replay(&spec) {
                Replay::Same { .. } => {}
                other => panic!("seed {}: a record does not replay: {other:?}", self.seed),
            }
            self.records.push(spec);
        }
        if self.status.phase != decision.status.phase {
            self.phases.extend(decision.status.phase);
        }
        // As through the API server: what is stored is what was printed.
        self.status = serde_json::from_value(serde_json::to_value(&decision.status).unwrap()).unwrap();
        if let Some(last) = self.status.last_command.clone() {
            self.commands.retain(|command| command.uid != last.uid);
        }
    }

    fn act(&mut self) {
        let plan: Plan = plan(&self.status, &self.settings);
        if let Some(route) = &plan.route {
            assert_eq!(route.weights.iter().map(|(_, weight)| weight).sum::<i64>(), 100, "weights sum to 100");
            for (release, weight) in &route.weights {
                let scheduled = plan.workloads.iter().any(|workload| workload.release == *release);
                assert!(*weight > 0 && scheduled, "seed {}: weight on a release without pods", self.seed);
            }
        }
        for seen in self.revisions.values_mut() {
            if !plan.workloads.iter().any(|workload| workload.release.digest == seen.digest) {
                seen.wanted = 0;
                seen.ready = 0;
                seen.endpoints = 0;
            }
        }
        for workload in &plan.workloads {
            let behavior = self.behaviors[&workload.release.digest];
            let baked = plan.baked.as_ref() == Some(&workload.release);
            let seen = self.revisions.entry(workload.release.digest.clone()).or_default();
            seen.digest.clone_from(&workload.release.digest);
            seen.intact = true;
            seen.baked |= baked;
            seen.wanted = workload.replicas.unwrap_or(seen.wanted.max(1));
            seen.ready = if behavior.comes_up && !behavior.crashes { seen.wanted } else { 0 };
            seen.endpoints = seen.ready;
            seen.problem = match (behavior.comes_up, behavior.crashes) {
                (_, true) => Some(PodProblem { reason: "CrashLoop".into(), message: "exit code 1".into() }),
                (false, _) => Some(PodProblem { reason: "ImagePull".into(), message: "no such image".into() }),
                (true, false) => None,
            };
        }
        self.route = plan.route;
        self.follow_attempt();
    }

    /// The pods of a release change their ways.
    pub fn becomes(&mut self, name: &str, behavior: Behavior) {
        self.behaviors.insert(release(name).digest, behavior);
        self.act();
    }

    fn follow_attempt(&mut self) {
        let Some(State::Canary(canary)) = &self.status.state else {
            self.attempt = None;
            return;
        };
        let step = usize::try_from(canary.step).unwrap();
        match &mut self.attempt {
            Some((ledger, attempt)) if *ledger == canary.ledger => attempt.set_weight(self.now, step, canary.weight),
            _ => {
                let policy: Policy = serde_json::from_str(&canary.policy).unwrap();
                let arms = Arms { canary: canary.trial.digest.clone(), stable: canary.live.digest.clone() };
                self.attempt = Some((
                    canary.ledger.clone(),
                    Attempt::new(&policy, arms, Limits::default(), step, canary.weight, self.now),
                ));
            }
        }
    }

    fn traffic(&mut self) {
        let due: Vec<Signal> = {
            let now = self.now;
            let (due, later) = self.in_flight.drain(..).partition(|signal| signal.received_millis <= now);
            self.in_flight = later;
            due
        };
        if let Some((_, attempt)) = self.attempt.as_mut().filter(|_| !self.deaf) {
            for signal in &due {
                attempt.take(signal);
            }
        }
        let Some(route) = self.route.clone() else { return };
        let expected = self.rate * TICK as f64 / 1000.0;
        let mut count = expected.floor() as u64;
        count += u64::from(self.draw() < expected.fract());
        for _ in 0..count {
            self.session(&route);
        }
    }

    fn session(&mut self, route: &rollpin_engine::plan::RoutePlan) {
        self.sessions += 1;
        let mut at = self.draw() * 100.0;
        let target = route.weights.iter().find(|(_, weight)| {
            at -= *weight as f64;
            at < 0.0
        });
        let Some((release, _)) = target.cloned() else { return };
        let behavior = self.behaviors[&release.digest];
        let failed = behavior.failures.map(|share| self.draw() < share);
        let conversation = format!("c{}", self.sessions);
        let start = Start { assignment: Assignment::Weighted, slices: vec![] };
        self.say(&release, &conversation, 0, Kind::Start(start));
        self.say(&release, &conversation, 300, Kind::Turn(Turn { empty: Some(false), ..Turn::default() }));
        let other = route.weights.iter().find(|(other, _)| *other != release).filter(|_| self.wandering > 0.0);
        if let Some((other, _)) = other.filter(|_| self.draw() < self.wandering).cloned() {
            self.say(&other, &conversation, 600, Kind::Turn(Turn::default()));
        }
        if let Some(failed) = failed {
            self.say(&release, &conversation, 500, Kind::Evaluation { name: "task_success".into(), failed });
        }
    }

    fn say(&mut self, release: &ReleaseRef, conversation: &str, later: i64, kind: Kind) {
        self.in_flight.push(Signal {
            release: release.digest.clone(),
            conversation: conversation.to_owned(),
            at_millis: self.now + later,
            received_millis: self.now + later,
            kind,
        });
    }

    /// splitmix64, in [0, 1).
    fn draw(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A release by its name: the first word is its behaviour, what follows a dot is provenance.
pub fn release(name: &str) -> ReleaseRef {
    let behavior = name.split('.').next().unwrap_or(name);
    let digest = rollpin_engine::hash::of_bytes(name.as_bytes());
    ReleaseRef {
        revision: format!("support-{}", &rollpin_engine::digest::base32(&digest)[..12]),
        behavior_digest: rollpin_engine::hash::of_bytes(format!("behavior {behavior}").as_bytes()),
        digest,
    }
}

fn policy() -> Policy {
    Policy {
        steps: vec![weight(5), weight(25), weight(50), weight(100)],
        gates: vec![gate("task_success", Role::Success, 0.10), gate("missing", Role::Guardrail, 0.10)],
        false_rollback: 0.05,
        false_promotion: 0.05,
        progress_deadline_seconds: 60,
        deadline_seconds: 600,
        on_inconclusive: OnInconclusive::RollBack,
        bake_seconds: 30,
        max_blind_seconds: 60,
        strata: StrataPolicy { min_sessions: 20, max_millis: 600_000 },
    }
}

pub fn weight(percent: i64) -> Step {
    Step::Weight { percent, sessions: 47, min_seconds: 0 }
}

pub fn gate(name: &str, role: Role, margin: f64) -> GatePolicy {
    GatePolicy {
        name: name.to_owned(),
        role,
        outcome: name.to_owned(),
        margin: Some(margin),
        tolerance: margin / 2.0,
        maturity_millis: 2_000,
        share: 0.5,
        slices: vec![],
        declared: true,
        baseline: None,
    }
}

fn settings() -> Settings {
    Settings {
        replicas: Some(2),
        suspend: false,
        on_rollback: OnRollback::Migrate,
        drain_seconds: 5,
        scale_down_delay_seconds: 5,
        revision_history_limit: 10,
        ready_when: ReadyWhen::Promoted,
        carriers: vec![Carrier::Header],
        contract_level: 1,
    }
}
