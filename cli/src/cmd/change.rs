//! What every changing verb does: create a `ReleaseCommand` that names the digest it means, and wait for its result.
//!
//! Writes nothing else. The operator decides; when somebody else moved first it refuses, and that is exit code 6.

use kube::ResourceExt;
use kube::api::{ObjectMeta, PostParams};
use rollpin_crds::command::{CommandResult, ReleaseCommandStatus};
use rollpin_crds::status::{Canary, State};
use rollpin_crds::{AgentRelease, NAME_LABEL, ReleaseCommand, ReleaseCommandSpec, Verb};

use crate::args::{Change, Form, Global};
use crate::connect::{self, Cluster, Step};
use crate::digests;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::progress::Progress;
use crate::settle;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// What.
    pub verb: Verb,
    /// Of which release digest.
    pub digest: String,
    /// `Promote`: all the remaining steps.
    pub full: bool,
    /// `Promote`: never take it back by itself during its bake.
    pub no_bake_rollback: bool,
    /// `Rollback`: where to.
    pub to_revision: Option<String>,
}

impl Intent {
    /// A verb about a digest, without options.
    pub fn new(verb: Verb, digest: &str) -> Self {
        Self { verb, digest: digest.to_owned(), full: false, no_bake_rollback: false, to_revision: None }
    }
}

/// Reads the release, and lets `choose` say what is wanted of it.
pub async fn run(
    global: &Global,
    change: &Change,
    choose: impl FnOnce(&AgentRelease) -> Result<Intent, Failure>,
) -> Result<Exit, Failure> {
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let release = progress.during("reading the release", cluster.release(&change.name)).await?;
    let intent = choose(&release)?;
    send(global, &cluster, change, intent, &progress).await
}

/// The canary, or why there is nothing to do to it.
pub fn canary<'a>(release: &'a AgentRelease, verb: &str) -> Result<&'a Canary, Failure> {
    let status = release.status.as_ref();
    match status.and_then(|status| status.state.as_ref()) {
        Some(State::Canary(canary)) => Ok(canary),
        Some(State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_)) | None => {
            let standing = status.map_or_else(|| "the operator has not looked at it yet".to_owned(), settle::sentence);
            let hint = match status.and_then(|status| status.state.as_ref()) {
                Some(State::Baking(_)) if verb == "abort" => "; to return to the predecessor: rollpin rollback",
                _ => "",
            };
            Err(Failure::Precondition(format!(
                "nothing of {:?} is on trial, so there is nothing to {verb} ({standing}){hint}",
                release.name_any()
            )))
        }
    }
}

/// Creates the command and waits for its result.
pub async fn send(
    global: &Global,
    cluster: &Cluster,
    change: &Change,
    intent: Intent,
    progress: &Progress,
) -> Result<Exit, Failure> {
    let by = progress.during("asking who you are", cluster.whoami()).await?;
    let command = command(change, &intent, by);
    let api = cluster.objects::<ReleaseCommand>();
    let action = format!("create a releasecommand in namespace {:?}", cluster.namespace);
    let created = progress
        .during("sending the command", connect::answer(&action, api.create(&PostParams::default(), &command)))
        .await?;
    let name = created.name_any();
    if change.timeout.is_zero() {
        return report(global, &created, &format!("{name} was created; its status will say what became of it"))
            .map(|()| Exit::Ok);
    }
    let waiting = format!(
        "{} of {} ({}): the operator has not answered yet",
        verb_word(intent.verb),
        change.name,
        digests::short(&intent.digest)
    );
    let judge = |seen: Option<&ReleaseCommand>| match seen {
        Some(command) => match &command.status {
            Some(status) if status.result.is_some() => Ok(Step::Done((command.clone(), status.clone()))),
            Some(_) | None => Ok(Step::Wait(waiting.clone())),
        },
        None => Err(Failure::Content(format!("releasecommand {name:?} was deleted before the operator answered"))),
    };
    match connect::until(&api, &name, Some(change.timeout), progress, judge).await? {
        Some((command, status)) => conclude(global, &command, &status),
        None => Err(Failure::Timeout(format!(
            "no answer to releasecommand {name:?} within {} s; it is still open: is the operator running? To take it back: kubectl -n {} delete releasecommand {name}",
            change.timeout.as_secs(),
            cluster.namespace
        ))),
    }
}

fn command(change: &Change, intent: &Intent, requested_by: String) -> ReleaseCommand {
    let spec = ReleaseCommandSpec {
        release: change.name.clone(),
        verb: intent.verb,
        digest: intent.digest.clone(),
        reason: change.reason.clone(),
        requested_by,
        on_behalf_of: None,
        full: intent.full.then_some(true),
        no_bake_rollback: intent.no_bake_rollback.then_some(true),
        to_revision: intent.to_revision.clone(),
        expires_at: None,
    };
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-{}-", change.name, verb_word(intent.verb))),
        labels: Some([(NAME_LABEL.to_owned(), change.name.clone())].into()),
        ..ObjectMeta::default()
    };
    ReleaseCommand { metadata, spec, status: None }
}

/// The verb as typed.
fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Promote => "promote",
        Verb::Abort => "abort",
        Verb::Rollback => "rollback",
        Verb::Pause => "pause",
        Verb::Resume => "resume",
        Verb::Retry => "retry",
        Verb::Stop => "stop",
        Verb::Veto => "veto",
        Verb::Override => "override",
    }
}

fn conclude(global: &Global, command: &ReleaseCommand, status: &ReleaseCommandStatus) -> Result<Exit, Failure> {
    let message = status.message.clone().unwrap_or_else(|| "the operator gives no reason".to_owned());
    match status.result {
        Some(CommandResult::Done) => report(global, command, &message).map(|()| Exit::Ok),
        Some(CommandResult::Refused) => Err(Failure::Precondition(format!("refused: {message}"))),
        Some(CommandResult::Expired) | None => Err(Failure::Timeout(format!("expired: {message}"))),
    }
}

fn report(global: &Global, command: &ReleaseCommand, message: &str) -> Result<(), Failure> {
    if output::say_value(global.output, command)? {
        return Ok(());
    }
    match global.output {
        Some(Form::Name) => output::say(&format!("releasecommand.rollpin.dev/{}", command.name_any())),
        Some(Form::Json | Form::Yaml | Form::Wide) | None => output::say(message),
    }
}
