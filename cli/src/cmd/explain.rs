//! `rollpin explain`: why a release is where it is. The evidence of every gate against its line, and what is still needed.
//!
//! Reads the status alone; every number in it was computed by the operator.

use jiff::Timestamp;
use kube::ResourceExt;
use rollpin_crds::AgentRelease;
use rollpin_crds::status::{AgentReleaseStatus, Canary, Ended, GateStatus, Hold, Phase, State};
use rollpin_engine::decide::cause_word;
use rollpin_engine::phase;
use rollpin_engine::policy::Policy;

use crate::args::{Explain, Global};
use crate::connect;
use crate::digests::short;
use crate::failure::{Exit, Failure};
use crate::output::{self, BAD, FAINT, GOOD, STRONG, WAIT, count, styled};
use crate::progress::Progress;

/// Prints the explanation.
pub async fn run(global: &Global, it: &Explain) -> Result<Exit, Failure> {
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let release = progress.during("reading the release", cluster.release(&it.name)).await?;
    progress.clear();
    if !output::say_value(global.output, &release.status)? {
        output::say(&text(&release, Timestamp::now()))?;
    }
    Ok(Exit::Ok)
}

/// The explanation.
pub fn text(release: &AgentRelease, now: Timestamp) -> String {
    let name = format!("{} in {}", release.name_any(), release.namespace().unwrap_or_default());
    let Some(status) = &release.status else {
        return format!(
            "{}\nThe operator has not looked at it yet; is it installed and running?",
            styled(STRONG, &name)
        );
    };
    let lines = Lines::of(release, status);
    let paragraphs =
        [headline(&name, status), facts(status, now), gates(status, &lines), needs(status), conditions(status)];
    paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn headline(name: &str, status: &AgentReleaseStatus) -> String {
    let phase = status.phase.map_or("Pending", phase::name);
    let style = match status.phase {
        Some(Phase::Healthy | Phase::Baking) => GOOD,
        Some(Phase::RolledBack | Phase::RollingBack | Phase::Failed) => BAD,
        Some(Phase::Pending | Phase::Progressing | Phase::Paused) | None => WAIT,
    };
    let head = format!("{}: {}", styled(STRONG, name), styled(style, phase));
    match status.message.as_deref().filter(|message| !message.is_empty()) {
        Some(message) => format!("{head}\n{message}"),
        None => head,
    }
}

/// Which releases there are, and where the trial stands.
fn facts(status: &AgentReleaseStatus, now: Timestamp) -> String {
    let mut rows: Vec<Vec<String>> = vec![];
    if let Some(serving) = &status.serving {
        rows.push(fact("Serving", format!("{} at {} %, {}", short(&serving.digest), serving.weight, serving.digest)));
    }
    if let Some(desired) = &status.desired {
        let digest =
            desired.digest.as_deref().map_or_else(String::new, |digest| format!("{}, {digest}", short(digest)));
        rows.push(fact("Desired", format!("{} {digest}", desired.state).trim_end().to_owned()));
    }
    rows.extend(status.hold.iter().map(|hold| fact("Held", held(hold, now))));
    match &status.state {
        Some(State::Canary(canary)) => rows.extend(trial(canary, now)),
        Some(State::Baking(baking)) => {
            let before = baking
                .predecessor
                .as_ref()
                .map_or_else(|| "no predecessor".to_owned(), |before| format!("{} stays warm", short(&before.digest)));
            rows.push(fact("Bake", format!("until {}, promoted as {}; {before}", baking.until.0, baking.basis)));
        }
        Some(State::Steady(steady)) => {
            rows.extend(steady.ended.as_ref().map(|ended| fact("Ended", ending(ended, status))));
        }
        Some(State::Reverting(reverting)) => {
            rows.push(fact(
                "Taking back",
                format!(
                    "{} as {}: {}",
                    short(&reverting.rejected.digest),
                    cause_word(reverting.cause),
                    reverting.message
                ),
            ));
        }
        Some(State::Pending(_)) | None => {}
    }
    output::table(&[], &rows)
}

fn fact(what: &str, text: String) -> Vec<String> {
    vec![styled(FAINT, what), text]
}

fn held(hold: &Hold, now: Timestamp) -> String {
    let by = hold.gate.as_ref().map(|gate| format!(" by {gate}")).unwrap_or_default();
    let slice = hold.slice.as_ref().map(|slice| format!(", worst slice {slice}")).unwrap_or_default();
    format!(
        "{} {}{by}{slice}, {} ago; attempt {}, {} had begun on it; record {}",
        short(&hold.digest),
        cause_word(hold.cause),
        output::age(hold.since.0, now),
        hold.attempt,
        count(hold.exposed_sessions, "session"),
        hold.record
    )
}

/// How the last attempt ended; its message only where the headline does not say it already.
fn ending(ended: &Ended, status: &AgentReleaseStatus) -> String {
    let said = status.message.as_deref().is_some_and(|message| message.contains(&ended.message));
    let message = if said { String::new() } else { format!(": {}", ended.message) };
    let Ended { trial, cause, message: _, attempt, policy_hash: _, proof } = ended;
    format!(
        "attempt {attempt} of {} as {}{message}; proof that nobody reaches it: {proof}",
        short(&trial.digest),
        cause_word(*cause)
    )
}

fn trial(canary: &Canary, now: Timestamp) -> Vec<Vec<String>> {
    let steps = policy(canary).map_or_else(String::new, |policy| format!(" of {}", policy.steps.len()));
    let at = canary.step_since.as_ref().map_or_else(
        || "not yet accepted by the gateway".to_owned(),
        |since| format!("for {}", output::age(since.0, now)),
    );
    let mut rows = vec![fact(
        "Trial",
        format!(
            "step {}{steps} at {} % {at}; attempt {}, begun {} ago",
            canary.step + 1,
            canary.weight,
            canary.attempt,
            output::age(canary.since.0, now)
        ),
    )];
    rows.extend(canary.plan.as_ref().map(|plan| fact("Plan", plan.clone())));
    rows.extend(
        canary
            .paused
            .as_ref()
            .map(|paused| fact("Paused", format!("{} for {}", paused.message, output::age(paused.since.0, now)))),
    );
    rows.extend(
        canary.approval.as_ref().map(|approval| fact("Approved", format!("by {}: {}", approval.by, approval.reason))),
    );
    rows.extend(canary.veto.as_ref().map(|veto| fact("Vetoed", veto.clone())));
    rows
}

fn policy(canary: &Canary) -> Option<Policy> {
    serde_json::from_str(&canary.policy).ok()
}

/// The e-values at which something happens.
#[derive(Clone, Debug, PartialEq)]
struct Lines {
    regression: f64,
    promotion: f64,
    /// Shares of the rollback budget by gate, where the policy of the attempt is at hand.
    shares: Vec<(String, f64)>,
}

impl Lines {
    /// From the frozen policy of the attempt, else from the spec, else 5 %.
    fn of(release: &AgentRelease, status: &AgentReleaseStatus) -> Self {
        let canary = match &status.state {
            Some(State::Canary(canary)) => Some(canary),
            Some(State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_)) | None => None,
        };
        let frozen = canary.and_then(|canary| policy(canary));
        let budget = release.spec.error_budget.as_ref();
        let rollback =
            frozen.as_ref().map(|policy| policy.false_rollback).or(budget.and_then(|budget| budget.false_rollback));
        let promotion =
            frozen.as_ref().map(|policy| policy.false_promotion).or(budget.and_then(|budget| budget.false_promotion));
        let tries = canary.map_or_else(|| attempt(status), |canary| canary.attempt);
        let shares = frozen
            .map(|policy| policy.gates.into_iter().map(|gate| (gate.name, gate.share)).collect())
            .unwrap_or_default();
        // Attempt k needs 2^(k-1) times the evidence to promote.
        let doubled = 2_f64.powi(i32::try_from((tries - 1).clamp(0, 60)).unwrap_or(0));
        Self { regression: 1.0 / rollback.unwrap_or(0.05), promotion: doubled / promotion.unwrap_or(0.05), shares }
    }
}

/// The number of the attempt whose evidence is shown.
fn attempt(status: &AgentReleaseStatus) -> i64 {
    match &status.state {
        Some(State::Steady(steady)) => steady.ended.as_ref().map_or(1, |ended| ended.attempt),
        Some(State::Reverting(reverting)) => reverting.attempt,
        Some(State::Baking(baking)) => baking.attempt,
        Some(State::Canary(canary)) => canary.attempt,
        Some(State::Pending(_)) | None => 1,
    }
}

fn gates(status: &AgentReleaseStatus, lines: &Lines) -> String {
    if status.gates.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = status.gates.iter().map(|gate| row(gate, lines)).collect();
    let heading = ["GATE", "ROLE", "VERDICT", "WORSE?", "NO WORSE?", "CANARY BAD", "STABLE BAD", "ODDS RATIO (95 %)"];
    let table = output::table(&heading, &rows);
    let now = average(status, lines).map_or_else(String::new, |average| {
        format!(" The average is now about {} of {}.", number(average), number(lines.regression))
    });
    format!(
        "{table}\n\nBars are e-values on a logarithmic scale. WORSE? takes the release back when the gates' average by share reaches {}; NO WORSE? promotes when every gate reaches {}.{now}",
        number(lines.regression),
        number(lines.promotion)
    )
}

fn row(gate: &GateStatus, lines: &Lines) -> Vec<String> {
    let style = match gate.verdict.as_str() {
        "Pass" => GOOD,
        "Fail" => BAD,
        _ => WAIT,
    };
    vec![
        gate.name.clone(),
        gate.role.clone(),
        styled(style, &gate.verdict),
        against(gate.regression.as_deref(), lines.regression, BAD),
        against(gate.non_inferiority.as_deref(), lines.promotion, GOOD),
        rate(gate.canary_bad, gate.canary_sessions),
        rate(gate.stable_bad, gate.stable_sessions),
        gate.odds_ratio.clone().unwrap_or_default(),
    ]
}

fn rate(bad: i64, sessions: i64) -> String {
    if sessions == 0 {
        return "no sessions".to_owned();
    }
    format!("{bad}/{sessions} = {:.1} %", bad as f64 * 100.0 / sessions as f64)
}

/// A bar and the e-value as the operator wrote it.
fn against(value: Option<&str>, line: f64, style: anstyle::Style) -> String {
    let Some(text) = value else {
        return String::new();
    };
    match e_value(text) {
        Some(value) => format!("{} {text}", styled(style, &bar(value, line))),
        None => text.to_owned(),
    }
}

/// The number in an e-value's text, such as `143`, `1.2e5` or `>1e6`.
fn e_value(text: &str) -> Option<f64> {
    text.trim_start_matches(['>', '<', '~', ' ']).parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

const BAR: usize = 10;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// How far an e-value is on its way from 1 to its line, in logarithms; ten characters wide, full at the line.
fn bar(value: f64, line: f64) -> String {
    let share = if value <= 1.0 || line <= 1.0 { 0.0 } else { (value.ln() / line.ln()).clamp(0.0, 1.0) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 80
    let eighths = (share * (BAR * 8) as f64).floor() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS.get(eighths % 8).copied().unwrap_or_default());
    let width = bar.chars().count();
    bar.push_str(&"·".repeat(BAR.saturating_sub(width)));
    bar
}

/// The gates' average by share, as the operator forms it; a gate without a value counts as 1.
fn average(status: &AgentReleaseStatus, lines: &Lines) -> Option<f64> {
    if lines.shares.iter().all(|(_, share)| *share <= 0.0) {
        return None;
    }
    let value = |name: &str| {
        status
            .gates
            .iter()
            .find(|gate| gate.name == name)
            .and_then(|gate| e_value(gate.regression.as_deref()?))
            .unwrap_or(1.0)
    };
    Some(lines.shares.iter().map(|(name, share)| share * value(name)).sum())
}

fn number(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Why each gate says what it says, in the operator's words.
fn needs(status: &AgentReleaseStatus) -> String {
    let rows: Vec<Vec<String>> = status
        .gates
        .iter()
        .filter(|gate| !gate.message.is_empty() || gate.worst_slice.is_some())
        .map(|gate| {
            let slice = gate.worst_slice.as_ref().map(|slice| format!("; worst slice {slice}")).unwrap_or_default();
            fact(&gate.name, format!("{}{slice}", gate.message).trim_start_matches("; ").to_owned())
        })
        .collect();
    output::table(&[], &rows)
}

/// The conditions that are not as they are on a good day.
fn conditions(status: &AgentReleaseStatus) -> String {
    let odd = |kind: &str, value: &str| match kind {
        "Stalled" | "PolicyPending" => value == "True",
        "Reconciling" => false,
        _ => value != "True",
    };
    let rows: Vec<Vec<String>> = status
        .conditions
        .iter()
        .filter(|condition| odd(&condition.type_, &condition.status))
        // The message of the release stands at the top already.
        .map(|condition| {
            let message =
                if Some(&condition.message) == status.message.as_ref() { "" } else { condition.message.as_str() };
            vec![
                styled(WAIT, &format!("{}={}", condition.type_, condition.status)),
                condition.reason.clone(),
                message.to_owned(),
            ]
        })
        .collect();
    output::table(&[], &rows)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    pub fn rolled_back() -> AgentRelease {
        serde_json::from_str(include_str!("../../tests/data/rolled-back.json")).unwrap()
    }

    fn on_trial() -> AgentRelease {
        serde_json::from_str(include_str!("../../tests/data/on-trial.json")).unwrap()
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_rollback_is_explained_with_its_evidence() {
        insta::assert_snapshot!(plain(&text(&rolled_back(), now())));
    }

    #[test]
    fn a_canary_is_explained_with_what_it_still_needs() {
        insta::assert_snapshot!(plain(&text(&on_trial(), now())));
    }

    #[test]
    fn a_release_that_nobody_has_looked_at_says_so() {
        let mut fresh = rolled_back();
        fresh.status = None;
        assert!(text(&fresh, now()).contains("has not looked at it yet"));
    }

    #[test]
    fn a_bar_is_empty_at_one_half_at_the_root_of_the_line_and_full_at_the_line() {
        assert_eq!(bar(1.0, 20.0), "··········");
        assert_eq!(bar(0.01, 20.0), "··········");
        assert_eq!(bar(20_f64.sqrt() * 1.0001, 20.0), "█████·····");
        assert_eq!(bar(20.0, 20.0), "██████████");
        assert_eq!(bar(1e300, 20.0), "██████████");
        assert_eq!(bar(f64::NAN, 20.0), "··········");
    }

    #[test]
    fn the_second_attempt_needs_twice_the_evidence_to_promote() {
        let mut release = on_trial();
        if let Some(State::Canary(canary)) = &mut release.status.as_mut().unwrap().state {
            canary.attempt = 2;
        }
        let lines = Lines::of(&release, release.status.as_ref().unwrap());
        assert!((lines.promotion - 40.0).abs() < 1e-9 && (lines.regression - 20.0).abs() < 1e-9, "{lines:?}");
    }
}
