//! An attempt as a whole: who is counted, when, and that nothing else can move the evidence.

use super::attempt::Arms;
use super::*;
use crate::policy::{Baseline, GatePolicy, OnInconclusive, Policy, Role, Step, StrataPolicy};

const CANARY: &str = "canary";
const STABLE: &str = "stable";
const H: i64 = 1_000;
const GRACE: i64 = 100;

fn gate(outcome: &str, maturity_millis: i64) -> GatePolicy {
    GatePolicy {
        name: outcome.into(),
        role: Role::Guardrail,
        outcome: outcome.into(),
        margin: Some(0.1),
        tolerance: 0.0,
        maturity_millis,
        share: 1.0,
        slices: vec!["dataset".into()],
        declared: true,
        baseline: Some(Baseline { bad: 40, sessions: 400 }),
    }
}

fn policy(gates: Vec<GatePolicy>) -> Policy {
    let step = |percent| Step::Weight { percent, sessions: 10, min_seconds: 0 };
    Policy {
        steps: vec![step(50), step(75), step(100)],
        gates,
        false_rollback: 0.05,
        false_promotion: 0.05,
        progress_deadline_seconds: 600,
        deadline_seconds: 6_000,
        on_inconclusive: OnInconclusive::RollBack,
        bake_seconds: 60,
        max_blind_seconds: 60,
        strata: StrataPolicy { min_sessions: 4, max_millis: 10_000 },
    }
}

fn limits() -> Limits {
    Limits { grace_millis: GRACE, ..Limits::default() }
}

fn arms() -> Arms {
    Arms { canary: CANARY.into(), stable: STABLE.into() }
}

fn attempt(policy: &Policy) -> Attempt {
    Attempt::new(policy, arms(), limits(), 0, 50, 0)
}

fn success() -> Policy {
    policy(vec![gate("task_success", H)])
}

fn say(release: &str, conversation: &str, at: i64, kind: Kind) -> Signal {
    Signal { release: release.into(), conversation: conversation.into(), at_millis: at, received_millis: at, kind }
}

fn start_as(release: &str, conversation: &str, at: i64, assignment: Assignment) -> Signal {
    say(release, conversation, at, Kind::Start(Start { assignment, slices: vec![("dataset".into(), "prime".into())] }))
}

fn start(release: &str, conversation: &str, at: i64) -> Signal {
    start_as(release, conversation, at, Assignment::Weighted)
}

fn judge(release: &str, conversation: &str, at: i64, failed: bool) -> Signal {
    say(release, conversation, at, Kind::Evaluation { name: "task_success".into(), failed })
}

/// Four sessions, two per arm, one of each bad: a whole stratum.
fn four(from: i64, tag: &str) -> Vec<Signal> {
    let mut signals = Vec::new();
    for (offset, release, failed) in [(0, STABLE, true), (1, CANARY, false), (2, STABLE, false), (3, CANARY, true)] {
        let name = format!("{tag}-{offset}");
        signals.push(start(release, &name, from + offset));
        signals.push(judge(release, &name, from + offset + 10, failed));
    }
    signals
}

fn feed(attempt: &mut Attempt, signals: &[Signal]) {
    for signal in signals {
        attempt.take(signal);
    }
}

fn counts(bad: i64, sessions: i64, missing: i64) -> Counts {
    Counts { sessions, bad, missing }
}

#[test]
fn a_stratum_is_folded_once_its_last_session_is_h_old_and_not_before() {
    let mut attempt = attempt(&success());
    feed(&mut attempt, &four(10, "a"));
    assert!(!attempt.advance(13 + H + GRACE - 1));
    assert_eq!(attempt.evidence(0).gates[0].strata, 0);
    assert!(attempt.advance(13 + H + GRACE));
    assert!(!attempt.advance(13 + H + GRACE));
    let evidence = attempt.evidence(2_000);
    assert_eq!((evidence.gates[0].canary, evidence.gates[0].stable), (counts(1, 2, 0), counts(1, 2, 0)));
    assert_eq!(evidence.gates[0].by_step, [2, 0, 0]);
    assert_eq!((evidence.open, evidence.next_stratum), (0, 1));
    assert_eq!(evidence.gates[0].slices[0].slice, "dataset=prime");
}

#[test]
fn the_order_of_batches_does_not_matter() {
    let mut signals: Vec<Signal> = (0..30).flat_map(|n| four(10 + n * 7, &format!("s{n}"))).collect();
    signals.push(say(STABLE, "s0-0", 60, Kind::Tool { failed: true }));
    let policy = policy(vec![gate("task_success", H), gate("tool_error", 2 * H), gate("missing", 3 * H)]);
    let fold = |signals: &[Signal]| {
        let mut attempt = attempt(&policy);
        feed(&mut attempt, signals);
        attempt.advance(9_000);
        attempt.evidence(9_000)
    };
    let in_order = fold(&signals);
    assert_eq!(in_order.gates[1].stable.bad, 1);
    let mut random = Random(7);
    for _ in 0..20 {
        for index in (1..signals.len()).rev() {
            signals.swap(index, random.below(index + 1));
        }
        assert_eq!(fold(&signals).gates, in_order.gates);
    }
}

#[test]
fn outcomes_after_maturity_are_counted_and_inert() {
    let mut attempt = attempt(&success());
    let signals = four(10, "a");
    feed(&mut attempt, &signals);
    attempt.advance(2_000);
    let before = attempt.evidence(2_000);
    // It happened in time and is heard too late; and one that happened too late.
    feed(&mut attempt, &[judge(CANARY, "a-1", 900, true), judge(CANARY, "a-3", 5_000, false)]);
    attempt.advance(6_000);
    let after = attempt.evidence(2_000);
    assert_eq!(after.gates, before.gates);
    assert_eq!((before.sessions.late, after.sessions.late), (0, 1));
}

#[test]
fn each_gate_matures_at_its_own_h() {
    let mut attempt = attempt(&policy(vec![gate("task_success", 10 * H), gate("tool_error", H)]));
    feed(&mut attempt, &four(10, "a"));
    feed(&mut attempt, &[say(CANARY, "a-1", 20, Kind::Tool { failed: true })]);
    attempt.advance(2 * H);
    let seen = attempt.evidence(0);
    assert_eq!((seen.gates[0].strata, seen.gates[1].strata), (0, 1));
    assert_eq!(seen.gates[1].canary, counts(1, 1, 1));
    attempt.advance(11 * H + GRACE);
    assert_eq!(attempt.evidence(0).gates[0].strata, 1);
}

#[test]
fn pinned_and_unknown_sessions_are_told_apart_and_not_counted() {
    let mut attempt = attempt(&success());
    feed(&mut attempt, &four(10, "a"));
    feed(&mut attempt, &[start_as(CANARY, "p", 11, Assignment::Pinned), judge(CANARY, "p", 12, true)]);
    feed(&mut attempt, &[start_as(CANARY, "u", 11, Assignment::Unknown), judge(CANARY, "u", 12, true)]);
    attempt.advance(5_000);
    let seen = attempt.evidence(0);
    assert_eq!((seen.sessions.preassigned, seen.sessions.unassigned, seen.sessions.canary), (1, 1, 2));
    assert_eq!(seen.gates[0].canary, counts(1, 2, 0));
}

#[test]
fn a_session_seen_on_both_releases_is_left_out_of_both() {
    let mut attempt = attempt(&success());
    feed(&mut attempt, &four(10, "a"));
    feed(
        &mut attempt,
        &[judge(STABLE, "a-3", 40, false), judge(CANARY, "a-0", 50, false), judge(CANARY, "a-0", 51, false)],
    );
    attempt.advance(5_000);
    let seen = attempt.evidence(0);
    assert_eq!(seen.sessions.moved, 2);
    assert_eq!((seen.gates[0].canary, seen.gates[0].stable), (counts(0, 1, 0), counts(0, 1, 0)));
}

#[test]
fn a_missing_signal_is_missing_and_never_zero() {
    let mut attempt = attempt(&policy(vec![gate("schema_violation", H), gate("missing", H)]));
    let mut signals = four(10, "a");
    signals.retain(|signal| matches!(signal.kind, Kind::Start(_)) || signal.conversation == "a-0");
    feed(&mut attempt, &signals);
    attempt.advance(5_000);
    let seen = attempt.evidence(0);
    assert_eq!((seen.gates[0].canary, seen.gates[0].stable), (counts(0, 0, 2), counts(0, 0, 2)));
    let gate = &policy(vec![gate("schema_violation", H)]).gates[0];
    // What nobody reports speaks neither for nor against the release.
    assert_eq!(seen.gates[0].process, Some(GateProcess::new(gate)));
    assert_eq!((seen.gates[1].canary, seen.gates[1].stable), (counts(2, 2, 0), counts(1, 2, 0)));
}

#[test]
fn what_only_stable_reports_counts_against_the_canary() {
    let gates = vec![gate("empty_output", H)];
    let mut attempt = attempt(&policy(gates.clone()));
    for n in 0..50 {
        let signals = four(10 + 10 * n, &format!("s{n}"));
        feed(&mut attempt, &signals);
        for signal in signals.iter().filter(|signal| signal.release == STABLE) {
            let turn = Turn { empty: Some(false), ..Turn::default() };
            attempt.take(&say(STABLE, &signal.conversation, signal.at_millis + 5, Kind::Turn(turn)));
        }
    }
    attempt.advance(5_000);
    let process = attempt.evidence(0).gates[0].process.clone().unwrap();
    assert!(process.log_e_promotion(&gates[0]) <= 0.7);
    assert!(process.log_e_regression(&gates[0]).abs() < 1e-6);
}

#[test]
fn evidence_that_comes_before_its_session_is_kept() {
    let mut attempt = attempt(&success());
    let mut signals = four(10, "a");
    signals.reverse();
    feed(&mut attempt, &signals);
    attempt.advance(5_000);
    assert_eq!(attempt.evidence(0).gates[0].canary, counts(1, 2, 0));
}

#[test]
fn a_change_of_weight_never_lies_inside_a_stratum() {
    let mut attempt = attempt(&success());
    feed(&mut attempt, &four(10, "a")[..4]);
    attempt.set_weight(15, 1, 75);
    feed(&mut attempt, &four(20, "b"));
    attempt.advance(5_000);
    let seen = attempt.evidence(0);
    assert_eq!(seen.gates[0].strata, 2);
    assert_eq!(seen.gates[0].by_step, [1, 2, 0]);
}

#[test]
fn a_restart_drops_what_was_open_in_both_arms_and_reuses_no_number() {
    let policy = policy(vec![gate("task_success", H), gate("tool_error", 20 * H)]);
    let mut first = attempt(&policy);
    feed(&mut first, &four(10, "a"));
    first.advance(2 * H);
    let stored = serde_json::to_string(&first.evidence(2 * H)).unwrap();
    let stored: Evidence = serde_json::from_str(&stored).unwrap();
    assert_eq!((stored.open, stored.next_stratum), (4, 1));
    let mut second = Attempt::restore(&policy, arms(), limits(), 0, 50, 3 * H, &stored);
    // Outcomes of sessions from before the gap find no session.
    feed(&mut second, &[judge(CANARY, "a-1", 3 * H, true)]);
    feed(&mut second, &four(4 * H, "b"));
    second.advance(60 * H);
    let seen = second.evidence(0);
    assert_eq!(seen.sessions.dropped, 4);
    assert_eq!(seen.sessions.canary, 4);
    assert_eq!(seen.gates.iter().map(|gate| gate.strata).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(seen.gates[0].canary, counts(2, 4, 0));
    assert_eq!(seen.gates[1].canary, counts(0, 0, 2));
}

#[test]
fn a_restart_between_strata_changes_no_verdict() {
    let policy = success();
    let (early, late) = (four(10, "a"), four(5_000, "b"));
    let mut whole = attempt(&policy);
    feed(&mut whole, &early);
    whole.advance(4_000);
    let mut parts = Attempt::restore(&policy, arms(), limits(), 0, 50, 4_500, &whole.evidence(4_000));
    for attempt in [&mut whole, &mut parts] {
        feed(attempt, &late);
        attempt.advance(9_000);
    }
    assert_eq!(whole.evidence(0).gates, parts.evidence(0).gates);
}

#[test]
fn a_clock_that_is_more_than_a_minute_off_drops_its_sessions() {
    let mut attempt = attempt(&success());
    for (release, skew) in [(CANARY, 60_001), (STABLE, -60_001), (CANARY, 59_000)] {
        let mut signal = start(release, &format!("s{skew}"), 100_000 + skew);
        signal.received_millis = 100_000;
        attempt.take(&signal);
    }
    let seen = attempt.evidence(0);
    assert_eq!((seen.sessions.dropped, seen.sessions.canary, seen.sessions.stable), (2, 1, 0));
}

#[test]
fn memory_is_bounded_and_what_finds_no_room_is_counted_in_both_arms() {
    let mut attempt = Attempt::new(&success(), arms(), Limits { open_sessions: 10, ..limits() }, 0, 50, 0);
    for n in 0..100 {
        let release = if n % 2 == 0 { CANARY } else { STABLE };
        attempt.take(&start(release, &format!("s{n}"), n));
        attempt.take(&judge(release, &format!("s{n}"), n, true));
    }
    assert_eq!(attempt.open_sessions(), 10);
    let seen = attempt.evidence(0);
    assert_eq!((seen.sessions.canary, seen.sessions.stable, seen.sessions.dropped), (5, 5, 90));
    attempt.advance(50_000);
    assert_eq!(attempt.open_sessions(), 10, "they stay a while after they are folded, for what comes late");
    attempt.advance(200_000);
    assert_eq!(attempt.open_sessions(), 0);
}

#[test]
fn another_release_of_the_same_agent_moves_nothing() {
    let mut attempt = attempt(&success());
    feed(&mut attempt, &four(10, "a"));
    let before = attempt.evidence(100);
    feed(&mut attempt, &[start("older", "a-0", 20), judge("older", "a-0", 30, true)]);
    assert_eq!(attempt.evidence(100), before);
}

#[test]
fn further_slices_than_sixteen_are_one() {
    let mut attempt = attempt(&success());
    for n in 0..200 {
        let release = if n % 2 == 0 { CANARY } else { STABLE };
        let mut signal = start(release, &format!("s{n}"), n);
        signal.kind =
            Kind::Start(Start { assignment: Assignment::Weighted, slices: vec![("dataset".into(), n.to_string())] });
        attempt.take(&signal);
    }
    attempt.advance(50_000);
    let slices = &attempt.evidence(0).gates[0].slices;
    assert_eq!(slices.len(), 17);
    assert!(slices.iter().any(|slice| slice.slice == "other"));
}

#[test]
fn an_arm_with_traffic_that_is_silent_is_quiet_and_a_broken_source_is_blind() {
    let mut attempt = attempt(&success());
    assert!(matches!(attempt.evidence(0).sight, Sight::Quiet { .. }));
    for n in 0..100 {
        attempt.take(&start(STABLE, &format!("s{n}"), n * 1_000));
        attempt.take(&start(CANARY, &format!("c{n}"), n * 1_000));
    }
    assert_eq!(attempt.evidence(100_000).sight, Sight::Fresh);
    (100..250).for_each(|n| attempt.take(&start(STABLE, &format!("s{n}"), n * 1_000)));
    let Sight::Quiet { why } = attempt.evidence(250_000).sight else { panic!("the canary is silent") };
    assert!(why.contains("the canary"), "{why}");
    attempt.set_weight(250_000, 0, 0);
    assert_eq!(attempt.evidence(250_000).sight, Sight::Fresh);
    attempt.set_blind(Some(("the receiver is not running".into(), 7)));
    assert!(matches!(attempt.evidence(250_000).sight, Sight::Blind { since_millis: 7, .. }));
}

#[test]
fn a_sampled_source_is_said_before_anything_else() {
    let mut attempt = attempt(&success());
    attempt.set_blind(Some(("the receiver is not running".into(), 7)));
    attempt.set_sampled(Some("a sampler".into()));
    assert_eq!(attempt.evidence(0).sight, Sight::Sampled { why: "a sampler".into() });
    attempt.set_sampled(None);
    assert!(matches!(attempt.evidence(0).sight, Sight::Blind { .. }), "nothing was counted behind it");
}

#[test]
fn what_was_counted_behind_a_sampler_is_never_believed() {
    let mut attempt = attempt(&success());
    attempt.set_sampled(Some("a sampler".into()));
    feed(&mut attempt, &four(10, "a"));
    attempt.set_sampled(None);
    let stored = attempt.evidence(20);
    assert!(matches!(stored.sight, Sight::Sampled { .. }), "{:?}", stored.sight);
    let policy = success();
    let mut again = Attempt::restore(&policy, attempt.arms().clone(), Limits::default(), 0, 50, 30, &stored);
    again.set_sampled(None);
    assert_eq!(again.evidence(40).sight, stored.sight, "also after a restart");
}

#[test]
fn a_sampler_that_keeps_one_arm_says_nothing_about_the_router() {
    let ratio = |sampled: Option<String>| {
        let mut attempt = attempt(&success());
        attempt.set_sampled(sampled);
        (0..100).for_each(|n| attempt.take(&start(CANARY, &format!("c{n}"), n)));
        attempt.advance(200_000);
        attempt.evidence(200_000).sessions.sample_ratio
    };
    assert!(ratio(None) > 0);
    assert_eq!(ratio(Some("a sampler".into())), 0);
}

#[test]
fn numbers_are_reported_per_arm_and_gate_nothing() {
    let mut attempt = attempt(&success());
    feed(&mut attempt, &four(10, "a"));
    let turn = Turn { tokens_out: Some(100), latency_millis: Some(30), output_length: Some(400), ..Turn::default() };
    feed(&mut attempt, &[say(CANARY, "a-1", 20, Kind::Turn(turn)), say(CANARY, "a-1", 30, Kind::Turn(turn))]);
    attempt.advance(5_000);
    let numbers = attempt.evidence(0).numbers;
    assert_eq!(
        numbers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["latency", "tokens_out", "output_length"]
    );
    assert_eq!(numbers[1].canary.mean(), Some(200.0));
    assert_eq!(numbers[0].canary.sum, 30);
    assert_eq!(numbers[1].stable.count, 0);
}

/// `SplitMix64`: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn chance(&mut self, share: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= share
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// Two releases, of which the canary has so many `more` bad sessions; a bad session is over in 10 ms, a good one takes 900 ms;
/// the weight ramps in the middle of it and the baseline rises with the time of day. Returns the most evidence for a regression that was ever seen: by start cohorts, and,
/// for comparison, by strata of sessions that were *completed* together.
fn two_releases(seed: u64, more: f64) -> (f64, f64, Evidence) {
    let policy = policy(vec![gate("task_success", H)]);
    let gate = &policy.gates[0];
    let mut attempt = Attempt::new(&policy, arms(), limits(), 0, 5, 0);
    let mut by_completion = GateProcess::new(gate);
    let mut completed = process::Outcomes::default();
    let mut random = Random(seed);
    let mut pending: Vec<(Signal, bool)> = Vec::new();
    let (mut highest, mut highest_by_completion) = (0.0_f64, 0.0_f64);
    for tick in 0..3_000_i64 {
        let now = tick * 10;
        let step = usize::try_from(tick / 1_000).unwrap();
        let weight = [5, 25, 50][step];
        attempt.set_weight(now, step, weight);
        let release = if random.chance(weight as f64 / 100.0) { CANARY } else { STABLE };
        let more = if release == CANARY { more } else { 0.0 };
        let bad = random.chance(0.05 + 0.15 * tick as f64 / 3_000.0 + more);
        let name = format!("s{tick}");
        attempt.take(&start(release, &name, now));
        pending.push((judge(release, &name, now + if bad { 10 } else { 900 }, bad), bad));
        let (due, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(signal, _)| signal.received_millis <= now);
        pending = later;
        for (signal, bad) in due {
            let arm = if signal.release == CANARY { Arm::Canary } else { Arm::Stable };
            completed.push(arm, Some(bad));
            attempt.take(&signal);
        }
        if tick % 20 == 0 {
            by_completion.fold(gate, &std::mem::take(&mut completed));
            highest_by_completion = highest_by_completion.max(by_completion.log_e_regression(gate));
        }
        if attempt.advance(now) {
            let process = attempt.evidence(now).gates[0].process.clone().unwrap();
            highest = highest.max(process.log_e_regression(gate));
        }
    }
    (highest, highest_by_completion, attempt.evidence(30_000))
}

#[test]
fn identical_releases_are_not_taken_back_though_failures_finish_fast_and_weights_ramp() {
    let runs = 100_u64;
    let line = libm::log(20.0);
    let (mut taken_back, mut by_completion) = (0_u64, 0_u64);
    for seed in 0..runs {
        let (highest, highest_by_completion, evidence) = two_releases(seed, 0.0);
        taken_back += u64::from(highest >= line);
        by_completion += u64::from(highest_by_completion >= line);
        assert!(evidence.sessions.late == 0 && evidence.sessions.dropped == 0, "seed {seed}");
        assert!(evidence.sessions.sample_ratio < 7 << 40, "seed {seed}");
    }
    // .05 + 3 standard errors of 100 runs.
    assert!(taken_back <= 11, "{taken_back} of {runs} identical releases were taken back");
    // The trap is real: the same sessions, cut by completion, accuse identical releases.
    assert!(by_completion >= 2 * taken_back.max(6), "{by_completion} of {runs}, against {taken_back}");
}

#[test]
fn a_worse_release_in_the_same_world_is_taken_back() {
    let line = libm::log(20.0);
    let taken_back = (0..20).filter(|seed| two_releases(*seed, 0.2).0 >= line).count();
    assert!(taken_back >= 19, "{taken_back} of 20 regressions were found");
}
