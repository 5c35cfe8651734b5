//! Simulations: whole rollouts through the real decision and the real evidence folding, on a virtual clock.
//!
//! They prove what follows from what. That the cluster does it is proved on the cluster.

// A world that does not do what a test expects stops the test, where it stands.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// Sessions are counted in thousands.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod world;

use rollpin_crds::command::Verb;
use rollpin_crds::status::{Cause, Phase, State};
use rollpin_engine::policy::{OnInconclusive, Step};
use rollpin_engine::record;
use world::{Behavior, World, release, weight};

const SEED: u64 = 7;

/// A world in which release `a` serves and has passed its bake.
fn serving(seed: u64) -> World {
    let mut world = World::new(seed);
    world.apply("a", Behavior::failing(0.05));
    world.run_to(Phase::Healthy, 60);
    world
}

fn live(world: &World) -> String {
    world.status.serving.as_ref().map(|serving| serving.digest.clone()).unwrap_or_default()
}

fn held(world: &World) -> Vec<Cause> {
    world.status.hold.iter().map(|hold| hold.cause).collect()
}

#[test]
fn the_first_release_has_no_canary() {
    let world = serving(SEED);
    assert_eq!(world.phases, [Phase::Pending, Phase::Baking, Phase::Healthy]);
    assert_eq!(live(&world), release("a").digest);
}

#[test]
fn a_release_that_is_no_worse_is_promoted_and_bakes() {
    for seed in 1..=10 {
        let mut world = serving(seed);
        world.apply("b", Behavior::failing(0.05));
        world.run_to(Phase::Baking, 300);
        assert_eq!(live(&world), release("b").digest, "seed {seed}");
        world.run_to(Phase::Healthy, 60);
        assert!(held(&world).is_empty(), "seed {seed}");
    }
}

#[test]
fn an_agent_whose_guardrail_never_fails_is_promoted() {
    let mut world = World::new(SEED);
    world.baseline_bad = 0;
    world.apply("a", Behavior::failing(0.0));
    world.run_to(Phase::Healthy, 60);
    world.apply("b", Behavior::failing(0.0));
    world.run_to(Phase::Baking, 300);
    assert_eq!(live(&world), release("b").digest);
}

#[test]
fn a_regression_is_taken_back_held_and_explained() {
    for seed in 1..=10 {
        let mut world = serving(seed);
        world.apply("b", Behavior::failing(0.5));
        world.run_to(Phase::RolledBack, 300);
        assert_eq!(live(&world), release("a").digest, "seed {seed}");
        assert_eq!(held(&world), [Cause::Regressed], "seed {seed}");
        let message = world.status.message.clone().unwrap();
        assert!(message.contains("task_success, odds of failure"), "seed {seed}: {message}");
        let gate = world.status.gates.iter().find(|gate| gate.name == "task_success").unwrap();
        assert!(gate.verdict == "Fail" && gate.canary_bad > 0, "seed {seed}: the evidence stays readable: {gate:?}");
        let columns = world.status.columns.clone().unwrap();
        assert_eq!(columns.verdict, "Regressed: task_success", "seed {seed}");
        assert!(columns.desired.ends_with("(held)"), "seed {seed}");
    }
}

#[test]
fn a_held_release_is_not_tried_again_by_applying_it_again_or_recreating_the_object() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.5));
    world.run_to(Phase::RolledBack, 300);
    let records = world.records.len();
    world.apply("b", Behavior::failing(0.5));
    world.run(60);
    assert_eq!(world.records.len(), records, "nothing happened");
    world.apply("b.label", Behavior::failing(0.5));
    world.run(60);
    assert_eq!(world.status.phase, Some(Phase::RolledBack), "a changed label buys nothing");
    world.recreate();
    world.run(60);
    assert_eq!(world.status.phase, Some(Phase::Failed), "there is no stable release to serve");
    assert!(world.status.serving.is_none());
}

#[test]
fn a_spec_that_returns_to_the_live_release_is_healthy_at_once_and_the_hold_stays() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.5));
    world.run_to(Phase::RolledBack, 300);
    world.apply("a", Behavior::failing(0.05));
    world.run(1);
    assert_eq!(world.status.phase, Some(Phase::Healthy));
    assert_eq!(held(&world), [Cause::Regressed]);
}

#[test]
fn a_newer_bundle_replaces_the_canary_and_blames_nobody() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(10);
    world.apply("c", Behavior::failing(0.05));
    world.run(1);
    let Some(State::Canary(canary)) = &world.status.state else { panic!("{:?}", world.status.state) };
    assert_eq!(canary.trial, release("c"));
    assert_eq!(canary.live, release("a"));
    world.run_to(Phase::Baking, 300);
    assert!(held(&world).is_empty());
    assert_eq!(live(&world), release("c").digest);
}

#[test]
fn a_release_that_differs_in_provenance_alone_rolls_in_without_a_canary() {
    let mut world = serving(SEED);
    world.apply("a.2", Behavior::failing(0.05));
    world.run_to(Phase::Baking, 5);
    let Some(State::Baking(baking)) = &world.status.state else { panic!("{:?}", world.status.state) };
    assert_eq!(baking.basis, "SameBehavior");
    assert_eq!(baking.live, release("a.2"));
}

#[test]
fn a_release_that_passed_its_bake_returns_on_readiness() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run_to(Phase::Healthy, 400);
    world.run(20);
    world.apply("a", Behavior::failing(0.05));
    world.run_to(Phase::Baking, 5);
    let Some(State::Baking(baking)) = &world.status.state else { panic!("{:?}", world.status.state) };
    assert_eq!(baking.basis, "PassedBakeBefore");
}

#[test]
fn pods_that_never_come_up_park_the_release_and_hold_nothing() {
    let mut world = serving(SEED);
    world.apply("b", Behavior { comes_up: false, ..Behavior::failing(0.05) });
    world.run(120);
    assert_eq!(world.status.phase, Some(Phase::Paused));
    assert_eq!(world.status.weight, Some(0));
    assert!(held(&world).is_empty());
    assert!(world.status.message.clone().unwrap().contains("ImagePull"), "{:?}", world.status.message);
    world.becomes("b", Behavior::failing(0.05));
    world.run_to(Phase::Baking, 300);
}

#[test]
fn a_crash_loop_with_traffic_is_a_regression_without_statistics() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(5);
    world.becomes("b", Behavior { crashes: true, ..Behavior::failing(0.05) });
    world.run_to(Phase::RolledBack, 30);
    assert_eq!(held(&world), [Cause::Regressed]);
    assert_eq!(world.status.hold[0].gate.as_deref(), Some("crash_loop"));
}

#[test]
fn blind_evidence_freezes_then_parks_then_resumes_and_never_blames() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(5);
    let weight = world.status.weight;
    world.blind_since = Some(world.now);
    world.run(50);
    assert_eq!(world.status.weight, weight, "frozen");
    world.run(20);
    assert_eq!((world.status.phase, world.status.weight), (Some(Phase::Paused), Some(0)), "parked");
    world.blind_since = None;
    world.run_to(Phase::Baking, 400);
    assert!(held(&world).is_empty());
}

#[test]
fn a_sampled_source_neither_advances_nor_takes_back() {
    for (seed, failures) in [(1, 0.05), (2, 0.95), (3, 1.0)] {
        let mut world = World::new(seed);
        world.policy.on_inconclusive = OnInconclusive::PromoteIfNoRegression;
        world.apply("a", Behavior::failing(0.05));
        world.run_to(Phase::Healthy, 60);
        world.sampled = true;
        world.apply("b", Behavior::failing(failures));
        world.run(20);
        let weight = world.status.weight;
        assert!(weight.is_some_and(|weight| weight > 0), "seed {seed}: it was exposed, {:?}", world.status.message);
        assert!(
            world.status.message.clone().unwrap().contains("Insufficient: a sampler"),
            "{:?}",
            world.status.message
        );
        world.run(400);
        assert_eq!((world.status.phase, world.status.weight), (Some(Phase::Progressing), weight), "seed {seed}");
        // Past the deadline it waits for a person: "no regression was found" is worth nothing here either.
        world.run(300);
        assert_eq!((world.status.phase, world.status.weight), (Some(Phase::Paused), weight), "seed {seed}");
        assert_eq!(live(&world), release("a").digest, "seed {seed}");
        assert!(held(&world).is_empty(), "seed {seed}");
    }
}

#[test]
fn telemetry_that_stops_for_both_releases_is_blindness_and_not_a_verdict() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(20);
    world.deaf = true;
    world.run(130);
    assert_eq!((world.status.phase, world.status.weight), (Some(Phase::Paused), Some(0)), "{:?}", world.status.message);
    assert!(world.status.message.clone().unwrap().contains("has stopped"), "{:?}", world.status.message);
    assert!(held(&world).is_empty());
    world.deaf = false;
    world.run_to(Phase::Baking, 400);
}

#[test]
fn sessions_that_are_seen_on_both_releases_end_without_a_promotion_or_blame() {
    let mut world = serving(SEED);
    world.wandering = 0.3;
    world.apply("b", Behavior::failing(0.5));
    world.run_to(Phase::RolledBack, 700);
    assert!(held(&world).is_empty(), "{:?}", world.status.message);
    let Some(State::Steady(steady)) = &world.status.state else { panic!() };
    assert_eq!(steady.ended.as_ref().unwrap().cause, Cause::NotEnoughEvidence);
}

#[test]
fn trouble_of_both_releases_holds_the_weight_and_blames_nobody() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.5));
    world.becomes("a", Behavior::failing(0.5));
    world.run(300);
    assert_eq!(world.status.phase, Some(Phase::Progressing), "{:?}", world.status.message);
    assert_eq!(world.status.weight, Some(5));
    assert!(world.status.message.clone().unwrap().contains("on both releases"), "{:?}", world.status.message);
    assert!(held(&world).is_empty());
}

#[test]
fn a_missing_signal_never_advances_and_ends_without_blame() {
    let mut world = World::new(SEED);
    world.apply("a", Behavior::silent());
    world.run_to(Phase::Healthy, 60);
    world.apply("b", Behavior::silent());
    world.run(590);
    assert_eq!(world.status.phase, Some(Phase::Progressing));
    assert!(
        world.status.message.clone().unwrap().contains("Insufficient: task_success is not reported"),
        "{:?}",
        world.status.message
    );
    let Some(State::Canary(canary)) = &world.status.state else { panic!() };
    assert_eq!(canary.step, 0, "it stayed at its first step");
    world.run(60);
    assert_eq!(world.status.phase, Some(Phase::RolledBack));
    assert!(held(&world).is_empty());
    let records = world.records.len();
    world.run(700);
    assert_eq!(world.records.len(), records, "not enough evidence is terminal until something changes");
    world.command(Verb::Retry, "b", "the harness reports now");
    world.run(1);
    assert_eq!(world.status.phase, Some(Phase::Progressing));
}

#[test]
fn a_deadline_may_hold_or_promote_where_the_policy_says_so() {
    for (choice, phase) in
        [(OnInconclusive::Hold, Phase::Paused), (OnInconclusive::PromoteIfNoRegression, Phase::Baking)]
    {
        let mut world = serving(SEED);
        world.policy.on_inconclusive = choice;
        world.policy.deadline_seconds = 20;
        world.rate = 5.0;
        world.apply("b", Behavior::failing(0.05));
        world.run_to(phase, 30);
        assert!(held(&world).is_empty());
    }
}

#[test]
fn a_pause_step_waits_for_its_time_or_for_a_person() {
    let mut world = serving(SEED);
    world.policy.steps =
        vec![weight(5), Step::Pause { seconds: Some(20) }, weight(50), Step::Pause { seconds: None }, weight(100)];
    world.apply("b", Behavior::failing(0.05));
    world.run_to(Phase::Paused, 60);
    world.run_to(Phase::Progressing, 30);
    world.run_to(Phase::Paused, 300);
    world.run(200);
    assert_eq!(world.status.phase, Some(Phase::Paused));
    world.command(Verb::Resume, "b", "");
    world.run_to(Phase::Baking, 60);
}

#[test]
fn a_command_that_names_another_release_is_refused_with_the_reason() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(5);
    world.command(Verb::Abort, "a", "");
    world.run(1);
    let last = world.status.last_command.clone().unwrap();
    assert!(!last.done);
    assert!(last.message.contains("the canary is"), "{}", last.message);
    assert_eq!(world.status.phase, Some(Phase::Progressing));
}

#[test]
fn a_person_takes_back_and_tries_again_with_a_reason() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(5);
    world.command(Verb::Abort, "b", "looks odd");
    world.run_to(Phase::RolledBack, 10);
    assert_eq!(held(&world), [Cause::Person]);
    world.run(30);
    assert_eq!(world.status.phase, Some(Phase::RolledBack), "the level-triggered loop does not start it again");
    world.command(Verb::Retry, "b", "");
    world.run(1);
    assert!(!world.status.last_command.clone().unwrap().done, "a retry needs a reason");
    world.command(Verb::Retry, "b", "it was the weather");
    world.run(1);
    assert!(held(&world).is_empty());
    world.run_to(Phase::Baking, 400);
}

#[test]
fn a_rollback_in_the_bake_returns_to_the_warm_predecessor() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run_to(Phase::Baking, 300);
    world.command(Verb::Rollback, "b", "complaints");
    world.run(1);
    assert_eq!(live(&world), release("a").digest, "in one write");
    world.run_to(Phase::RolledBack, 10);
    assert_eq!(held(&world), [Cause::Person]);
}

#[test]
fn a_full_promotion_is_recorded_with_the_name_and_the_reason() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(2);
    world.command(Verb::Promote, "b", "reviewed by hand");
    world.commands[0].full = true;
    world.run_to(Phase::Baking, 10);
    let Some(State::Baking(baking)) = &world.status.state else { panic!() };
    assert_eq!(baking.basis, "Approved");
    assert!(world.records.iter().any(|record| record.message.contains("on the word of ada: reviewed by hand")));
}

#[test]
fn editing_gates_in_the_middle_keeps_the_frozen_policy_and_says_so() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.05));
    world.run(5);
    world.policy.gates[0].margin = Some(0.5);
    world.run(1);
    let pending = world.status.conditions.iter().find(|condition| condition.type_ == "PolicyPending").unwrap();
    assert_eq!(pending.status, "True");
    let Some(State::Canary(canary)) = &world.status.state else { panic!() };
    assert!(canary.policy.contains("\"margin\":0.1"), "{}", canary.policy);
}

#[test]
fn thirty_two_gates_fit_into_a_record_and_a_status() {
    let mut world = serving(SEED);
    world.policy.gates = (0..32)
        .map(|number| {
            let gate = world::gate(&format!("task_success_{number}"), rollpin_engine::policy::Role::Success, 0.10);
            rollpin_engine::policy::GatePolicy { outcome: "task_success".to_owned(), share: 1.0 / 32.0, ..gate }
        })
        .collect();
    world.apply("b", Behavior::failing(0.5));
    world.run_to(Phase::RolledBack, 300);
    let status = serde_json::to_string(&world.status).unwrap().len();
    assert!(status <= 512 * 1024, "{status} bytes");
}

#[test]
fn suspend_stops_at_the_weight_and_starts_nothing() {
    let mut world = serving(SEED);
    world.settings.suspend = true;
    world.apply("b", Behavior::failing(0.05));
    world.run(20);
    assert_eq!(world.status.phase, Some(Phase::Healthy));
    world.settings.suspend = false;
    world.run(5);
    let weight = world.status.weight;
    world.settings.suspend = true;
    world.run(60);
    assert_eq!((world.status.phase, world.status.weight), (Some(Phase::Paused), weight));
}

#[test]
fn the_chain_of_records_is_whole_and_tampering_is_found() {
    let mut world = serving(SEED);
    world.apply("b", Behavior::failing(0.5));
    world.run_to(Phase::RolledBack, 300);
    record::verify_chain(&world.records, None).unwrap();
    let mut forged = world.records.clone();
    forged[1].message = "nothing happened".to_owned();
    assert!(record::verify_chain(&forged, None).unwrap_err().contains("record 2 was changed"));
    forged = world.records.clone();
    forged.remove(2);
    assert!(record::verify_chain(&forged, None).unwrap_err().contains("record 3 is missing"));
}

#[test]
fn a_release_at_rest_decides_nothing_and_wants_no_wake_up() {
    let mut world = serving(SEED);
    world.run(60);
    let said = world.said.len();
    let records = world.records.len();
    world.run(60);
    assert!(world.said[said..].iter().all(|words| words == &world.said[said]), "the same words for ever");
    assert_eq!(world.records.len(), records);
}

/// Two equal releases, a hundred rollouts: the share that is taken back stays within its budget.
#[test]
fn identical_releases_are_seldom_taken_back() {
    let rollouts = 100;
    let mut taken_back = 0;
    for seed in 1000..1000 + rollouts {
        let mut world = serving(seed);
        world.apply("b", Behavior::failing(0.05));
        for _ in 0..300 {
            world.run(1);
            match world.status.phase {
                Some(Phase::RollingBack | Phase::RolledBack) => {
                    taken_back += 1;
                    break;
                }
                Some(Phase::Baking) => break,
                _ => {}
            }
        }
    }
    let limit = 0.05 * f64::from(rollouts as u32) + 3.0 * (0.05_f64 * 0.95 * f64::from(rollouts as u32)).sqrt();
    assert!(f64::from(taken_back) <= limit, "{taken_back} of {rollouts} identical releases were taken back");
}
