//! `rollpin lint`: everything that can be known about a manifest without a cluster, with places and codes.
//!
//! The checks themselves are the engine's; this orders and prints what they find.

use kube::ResourceExt;
use rollpin_engine::digest::{self, NotBuilt};
use rollpin_engine::policy::{GatePolicy, Policy, Settings, Step};
use rollpin_engine::{preflight, validate};
use serde::Serialize;

use crate::args::{Form, Global, Lint};
use crate::failure::{Exit, Failure};
use crate::manifest::{self, Agent, Manifest};
use crate::output::{self, BAD, GOOD, STRONG, WAIT, styled};
use crate::yaml::Finding;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Severity {
    /// The manifest cannot be carried out.
    Error,
    /// Somebody has to approve.
    Approval,
    /// It should be looked at.
    Warning,
}

#[derive(Clone, Debug, Serialize)]
struct Remark {
    severity: Severity,
    line: usize,
    column: usize,
    field: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct Explained {
    name: String,
    policy: Policy,
    settings: Settings,
}

#[derive(Debug, Serialize)]
struct Answer {
    remarks: Vec<Remark>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explained: Vec<Explained>,
}

/// Checks, and prints what was found; exit code 1 when anything is an error.
pub fn run(global: &Global, it: &Lint) -> Result<Exit, Failure> {
    let manifest = manifest::read(&manifest::read_text(&it.file.file)?);
    let answer = answer(&manifest, it.explain);
    let failed = answer.remarks.iter().any(|remark| remark.severity == Severity::Error);
    match global.output {
        Some(Form::Json | Form::Yaml) => {
            output::say_value(global.output, &answer)?;
        }
        Some(Form::Wide | Form::Name) | None => say(global, it, &manifest, &answer)?,
    }
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

fn answer(manifest: &Manifest, explain: bool) -> Answer {
    let mut remarks: Vec<Remark> =
        manifest.findings.iter().map(|finding| remark(Severity::Error, "", finding)).collect();
    if manifest.agents.is_empty() && remarks.is_empty() {
        let message = "there is no AgentRelease in it".to_owned();
        remarks.push(Remark {
            severity: Severity::Error,
            line: 1,
            column: 1,
            field: String::new(),
            code: String::new(),
            message,
        });
    }
    let mut explained = vec![];
    for agent in &manifest.agents {
        remarks.extend(check(manifest, agent));
        if explain && let Ok((policy, settings)) = validate::policy(&agent.release.spec) {
            explained.push(Explained { name: agent.release.name_any(), policy, settings });
        }
    }
    remarks.sort_by_key(|remark| (remark.line, remark.column));
    // Two checks may see the same thing.
    remarks.dedup_by(|a, b| (a.line, a.column, &a.field, &a.message) == (b.line, b.column, &b.field, &b.message));
    Answer { remarks, explained }
}

fn remark(severity: Severity, code: &str, finding: &Finding) -> Remark {
    Remark {
        severity,
        line: finding.place.line,
        column: finding.place.column,
        field: finding.field.clone(),
        code: code.to_owned(),
        message: finding.message.clone(),
    }
}

/// The engine's checks of one agent.
fn check(manifest: &Manifest, agent: &Agent) -> Vec<Remark> {
    let spec = &agent.release.spec;
    let contents = manifest.contents(&agent.release);
    let error = |problem: &validate::Problem| remark(Severity::Error, problem.code, &agent.finding(problem));
    let mut remarks = vec![];
    if let Err(problems) = validate::policy(spec) {
        remarks.extend(problems.iter().map(error));
    }
    remarks.extend(preflight::check_with(spec, &contents).into_iter().map(|found| {
        let severity = severity(found.severity);
        let problem: validate::Problem = found.into();
        remark(severity, problem.code, &agent.finding(&problem))
    }));
    match digest::build(&agent.release.name_any(), spec, &contents) {
        Ok(_) => {}
        Err(NotBuilt::Invalid(problems)) => remarks.extend(problems.iter().map(error)),
        Err(NotBuilt::WaitingForContent(why)) => {
            let message = format!("{why}; the digest cannot be known from this file alone");
            let finding = Finding { place: agent.node.place_of("spec.bundle.prompt"), field: String::new(), message };
            remarks.push(remark(Severity::Warning, "", &finding));
        }
    }
    remarks
}

fn severity(found: preflight::Severity) -> Severity {
    match found {
        preflight::Severity::Error => Severity::Error,
        preflight::Severity::NeedsApproval => Severity::Approval,
        preflight::Severity::Warning => Severity::Warning,
    }
}

fn say(global: &Global, it: &Lint, manifest: &Manifest, answer: &Answer) -> Result<(), Failure> {
    let file = manifest::shown(&it.file.file);
    for remark in &answer.remarks {
        output::say(&line(&file, remark))?;
    }
    for explained in &answer.explained {
        output::say(&in_words(explained))?;
    }
    if answer.remarks.is_empty() && !global.quiet && !it.explain {
        let names: Vec<String> = manifest.agents.iter().map(|agent| agent.release.name_any()).collect();
        output::say(&format!("{} {}: nothing to remark", styled(GOOD, "ok"), names.join(", ")))?;
    }
    Ok(())
}

fn line(file: &str, remark: &Remark) -> String {
    let (style, word) = match remark.severity {
        Severity::Error => (BAD, "error"),
        Severity::Approval => (WAIT, "approval"),
        Severity::Warning => (WAIT, "warning"),
    };
    let code = if remark.code.is_empty() { String::new() } else { format!("[{}]", remark.code) };
    let field = if remark.field.is_empty() { String::new() } else { format!("{}: ", remark.field) };
    format!("{file}:{}:{}: {}{code}: {field}{}", remark.line, remark.column, styled(style, word), remark.message)
}

/// The policy in force, every default filled in.
fn in_words(explained: &Explained) -> String {
    let Explained { name, policy, settings } = explained;
    let facts = output::table(&[], &facts(policy, settings));
    let rows: Vec<Vec<String>> = policy.gates.iter().map(gate).collect();
    let gates = output::table(
        &["GATE", "ROLE", "OUTCOME", "MARGIN", "TOLERANCE", "FINAL AFTER", "SHARE", "SLICES", "DECLARED"],
        &rows,
    );
    format!("{}\n{facts}\n\n{gates}", styled(STRONG, &format!("{name}: the policy in force")))
}

fn facts(policy: &Policy, settings: &Settings) -> Vec<Vec<String>> {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let Policy {
        steps,
        gates: _,
        false_rollback,
        false_promotion,
        progress_deadline_seconds,
        deadline_seconds,
        on_inconclusive,
        bake_seconds,
        max_blind_seconds,
        strata,
    } = policy;
    let Settings {
        replicas,
        suspend,
        on_rollback,
        drain_seconds,
        scale_down_delay_seconds,
        revision_history_limit,
        ready_when,
        carriers,
        contract_level,
    } = settings;
    vec![
        row("steps", steps.iter().map(step).collect::<Vec<_>>().join(", ")),
        row("false rollback", format!("{} of attempts", percent(*false_rollback))),
        row("false promotion", format!("{} per gate", percent(*false_promotion))),
        row("pods ready within", span(*progress_deadline_seconds)),
        row("deadline", format!("{}, then {on_inconclusive:?}", span(*deadline_seconds))),
        row("bake", span(*bake_seconds)),
        row("blind at most", span(*max_blind_seconds)),
        row("strata", format!("{} sessions or {}", strata.min_sessions, span(strata.max_millis / 1000))),
        row(
            "replicas",
            replicas
                .map_or_else(|| "not set: 1, or what an autoscaler says".to_owned(), |replicas| replicas.to_string()),
        ),
        row("suspended", suspend.to_string()),
        row("pins", carriers.iter().map(|carrier| format!("{carrier:?}")).collect::<Vec<_>>().join(", ")),
        row("on rollback", format!("{on_rollback:?}, drained for {}", span(*drain_seconds))),
        row("pods kept after", span(*scale_down_delay_seconds)),
        row("revisions kept", revision_history_limit.to_string()),
        row("ready when", format!("{ready_when:?}")),
        row("contract level", contract_level.to_string()),
    ]
}

fn step(step: &Step) -> String {
    match step {
        Step::Weight { percent, sessions, min_seconds: 0 } => format!("{percent} % ({sessions} sessions)"),
        Step::Weight { percent, sessions, min_seconds } => {
            format!("{percent} % ({sessions} sessions, at least {})", span(*min_seconds))
        }
        Step::Pause { seconds: Some(seconds) } => format!("pause {}", span(*seconds)),
        Step::Pause { seconds: None } => "pause until a person resumes".to_owned(),
    }
}

fn gate(gate: &GatePolicy) -> Vec<String> {
    let GatePolicy { name, role, outcome, margin, tolerance, maturity_millis, share, slices, declared, baseline: _ } =
        gate;
    vec![
        name.clone(),
        format!("{role:?}"),
        outcome.clone(),
        margin.map_or_else(|| "none".to_owned(), points),
        points(*tolerance),
        span(maturity_millis / 1000),
        percent(*share),
        slices.join(", "),
        if *declared { "by the manifest" } else { "by default" }.to_owned(),
    ]
}

fn points(fraction: f64) -> String {
    format!("{} pp", rounded(fraction * 100.0))
}

fn percent(fraction: f64) -> String {
    format!("{} %", rounded(fraction * 100.0))
}

/// At most two decimals, and none that is zero.
fn rounded(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seconds as people write them: `90s`, `10m`, `72h`.
fn span(seconds: i64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
