//! The steps of a canary, with defaults and the rules between them.

use rollpin_crds::rollout::{Analysis, Step as Written};

use super::{Problem, duration_millis};
use crate::policy::Step;

/// Weights of a canary that says nothing itself.
pub const DEFAULT_WEIGHTS: [i64; 5] = [1, 5, 25, 50, 100];

/// Matured canary sessions of a step that says nothing itself: enough to catch a failure rate that goes from 5 % to 30 %
/// in 95 of 100 rollouts.
pub const DEFAULT_SESSIONS: i64 = 47;

/// The steps, the last one a weight of 100.
///
/// Steps that end below 100 are followed by a weight of 100 without analysis, as in other rollout tools: after the last
/// declared step the release is promoted, not left half-way.
pub fn steps(written: &[Written], problems: &mut Vec<Problem>) -> Vec<Step> {
    if written.is_empty() {
        return DEFAULT_WEIGHTS.iter().map(|percent| weight(*percent, DEFAULT_SESSIONS, 0)).collect();
    }
    let mut steps = Vec::new();
    for (index, step) in written.iter().enumerate() {
        let field = format!("spec.rollout.steps[{index}]");
        match one(&field, step) {
            Ok(step) => {
                problems.extend(out_of_order(&field, &steps, &step));
                steps.push(step);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if highest(&steps) < 100 {
        steps.push(weight(100, 0, 0));
    }
    steps
}

/// Seconds that the steps take even if everything goes well.
pub fn least_seconds(steps: &[Step]) -> i64 {
    let of = |step: &Step| match step {
        Step::Weight { min_seconds, .. } => *min_seconds,
        Step::Pause { seconds } => seconds.unwrap_or(0),
    };
    steps.iter().map(of).fold(0, i64::saturating_add)
}

fn weight(percent: i64, sessions: i64, min_seconds: i64) -> Step {
    Step::Weight { percent, sessions, min_seconds }
}

fn highest(steps: &[Step]) -> i64 {
    let percents = steps.iter().filter_map(|step| match step {
        Step::Weight { percent, .. } => Some(*percent),
        Step::Pause { .. } => None,
    });
    percents.max().unwrap_or(0)
}

fn one(field: &str, step: &Written) -> Result<Step, Problem> {
    let Written { set_weight, pause, analysis, mirror } = step;
    if mirror.is_some() {
        return Err(Problem::new(
            format!("{field}.mirror"),
            "this version does not mirror requests; write a small setWeight such as 1 instead",
        ));
    }
    match (set_weight, pause) {
        (Some(percent), None) => weight_step(field, *percent, analysis.as_ref()),
        (None, Some(_)) if analysis.is_some() => {
            Err(Problem::new(format!("{field}.analysis"), "analysis belongs to a step with setWeight; move it there"))
        }
        (None, Some(pause)) => {
            let field = format!("{field}.pause.duration");
            let seconds = pause.duration.as_ref().map(|duration| whole_seconds(&field, duration)).transpose()?;
            Ok(Step::Pause { seconds })
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(Problem::new(field, "a step is exactly one of setWeight and pause; make two steps of it"))
        }
    }
}

fn weight_step(field: &str, percent: i64, analysis: Option<&Analysis>) -> Result<Step, Problem> {
    if !(1..=100).contains(&percent) {
        return Err(Problem::new(
            format!("{field}.setWeight"),
            format!("{percent} is not a percentage; write 1 to 100"),
        ));
    }
    let sessions = analysis.and_then(|analysis| analysis.sessions).unwrap_or(DEFAULT_SESSIONS);
    if sessions < 0 {
        return Err(Problem::new(format!("{field}.analysis.sessions"), "a number of sessions is 0 or more"));
    }
    let least = analysis.and_then(|analysis| analysis.min_duration.as_ref());
    let field = format!("{field}.analysis.minDuration");
    let min_seconds = least.map(|duration| whole_seconds(&field, duration)).transpose()?.unwrap_or(0);
    Ok(weight(percent, sessions, min_seconds))
}

/// Seconds, rounded up: a wait is never shorter than it says.
pub fn whole_seconds(field: &str, duration: &rollpin_crds::schema::Duration) -> Result<i64, Problem> {
    Ok(duration_millis(field, duration)?.div_euclid(1000) + i64::from(duration_millis(field, duration)? % 1000 != 0))
}

fn out_of_order(field: &str, before: &[Step], step: &Step) -> Option<Problem> {
    let reached = highest(before);
    match step {
        Step::Weight { percent, .. } if *percent <= reached => Some(Problem::new(
            format!("{field}.setWeight"),
            format!(
                "{percent} after {reached}: weights rise from step to step; write more than {reached}, or remove the step"
            ),
        )),
        Step::Pause { .. } if reached == 100 => {
            Some(Problem::new(field, "nothing follows a weight of 100; put the pause before it, or use rollout.bake"))
        }
        Step::Weight { .. } | Step::Pause { .. } => None,
    }
}
