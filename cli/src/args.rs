//! The arguments as typed. What they mean is the verbs' business.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::failure::Exit;

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure, 2 usage, 3 rolled back, 4 timeout, 5 inconclusive, \
6 precondition failed (somebody else moved first), 7 forbidden.";

/// Rolls out LLM agents behind statistical gates.
#[derive(Debug, Parser)]
#[command(name = "rollpin", disable_version_flag = true, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Namespace of the release. Absent: the kubeconfig's own.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig. Absent: the current one.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig file. Absent: KUBECONFIG, then ~/.kube/config, then the pod's own account.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Form of the output. Absent: text.
    #[arg(short, long, global = true, value_name = "FORM")]
    pub output: Option<Form>,
    /// Only the answer: no progress, no headings.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// A form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The objects as JSON.
    Json,
    /// The objects as YAML.
    Yaml,
    /// Text with more columns.
    Wide,
    /// Names alone.
    Name,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show releases and where their rollouts stand
    Get(Get),
    /// Show every release
    List(List),
    /// Wait until a rollout is settled, and say how
    Status(Status),
    /// Say why: the verdict, the evidence of every gate, what is still needed
    Explain(Explain),
    /// Show the decisions in order, and verify that none was changed
    History(History),
    /// Take the next step without waiting for evidence
    Promote(Promote),
    /// Take the canary back
    Abort(Simple),
    /// Return to the predecessor, or to a named revision
    Rollback(Rollback),
    /// Keep the canary at its weight
    Pause(Simple),
    /// Go on after a pause
    Resume(Simple),
    /// Try a held or ended release again
    Retry(Retry),
    /// Print the digest of a manifest, offline
    Digest(FileArgs),
    /// Check a manifest, offline
    Lint(Lint),
    /// Decide again from what a decision record says was seen, and compare
    Replay(Replay),
    /// Print the versions of this program and of the operator
    Version(Version),
    /// Print a completion script for a shell
    Completion(Completion),
}

/// `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The release. Absent: all of the namespace.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// Go on and print each change.
    #[arg(short, long)]
    pub watch: bool,
}

/// `list`.
#[derive(Debug, Args)]
pub struct List {
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The release.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How long to wait, such as 90s, 10m or 2h; 0: do not wait. Absent: as long as it takes.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Print each change while waiting.
    #[arg(short, long)]
    pub watch: bool,
    /// Wait through the bake too.
    #[arg(long)]
    pub baked: bool,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The release.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `history`.
#[derive(Debug, Args)]
pub struct History {
    /// The release.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// What every changing verb takes.
#[derive(Clone, Debug, Args)]
pub struct Change {
    /// The release.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why; kept in the decision record.
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// How long to wait for the operator's answer, such as 30s; 0: do not wait.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub timeout: std::time::Duration,
}

/// A changing verb without options of its own.
#[derive(Debug, Args)]
pub struct Simple {
    /// What every changing verb takes.
    #[command(flatten)]
    pub change: Change,
}

/// `promote`.
#[derive(Debug, Args)]
pub struct Promote {
    /// What every changing verb takes.
    #[command(flatten)]
    pub change: Change,
    /// All the remaining steps at once.
    #[arg(long)]
    pub full: bool,
    /// Never take it back by itself during its bake.
    #[arg(long)]
    pub no_bake_rollback: bool,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// What every changing verb takes.
    #[command(flatten)]
    pub change: Change,
    /// The revision to return to: its name, or the beginning of its digest. Absent: the predecessor.
    #[arg(long, value_name = "REVISION")]
    pub to_revision: Option<String>,
}

/// `retry`.
#[derive(Debug, Args)]
pub struct Retry {
    /// What every changing verb takes.
    #[command(flatten)]
    pub change: Change,
    /// The beginning of the digest to try again, as in the DESIRED column. Absent: the one that the spec asks for.
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
}

/// A manifest.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The manifest, YAML or JSON, one or many documents; -: standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
}

/// `lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// The manifest.
    #[command(flatten)]
    pub file: FileArgs,
    /// Print the policy that is in force, with every default.
    #[arg(long)]
    pub explain: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The `DecisionRecord` in the cluster.
    #[arg(value_name = "RECORD", required_unless_present = "file", conflicts_with = "file")]
    pub name: Option<String>,
    /// A file with one or many `DecisionRecord`s, YAML or JSON; -: standard input. Needs no cluster.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `version`.
#[derive(Debug, Args)]
pub struct Version {
    /// This program alone; ask no cluster.
    #[arg(long)]
    pub client: bool,
}

/// `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Reads the arguments. As `kubectl-rollpin`, the help speaks of `kubectl rollpin`.
pub fn parse<I: IntoIterator<Item = OsString>>(arguments: I) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = command(arguments.first().is_some_and(is_plugin));
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The command line's own definition.
pub fn command(plugin: bool) -> clap::Command {
    let command = Cli::command();
    if plugin { command.name("kubectl rollpin").bin_name("kubectl rollpin") } else { command.bin_name("rollpin") }
}

fn is_plugin(program: &OsString) -> bool {
    Path::new(program).file_stem().is_some_and(|stem| stem == "kubectl-rollpin")
}

/// Prints help or a usage error.
pub fn show(shown: &clap::Error) -> ExitCode {
    // Nobody to tell when even the terminal is gone.
    let _ = shown.print();
    if shown.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
}

/// `90s`, `10m`, `1h30m`, or plain seconds.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(std::time::Duration::from_secs(seconds));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| std::time::Duration::try_from(duration).ok())
        .ok_or_else(|| "write a number with its unit, such as 90s, 10m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        command(false).debug_assert();
    }

    #[test]
    fn as_a_kubectl_plugin_the_help_names_kubectl() {
        let help = parsed(&["/usr/local/bin/kubectl-rollpin", "promote", "--help"]).unwrap_err().to_string();
        assert!(help.contains("Usage: kubectl rollpin promote"), "{help}");
        let help = parsed(&["rollpin", "promote", "--help"]).unwrap_err().to_string();
        assert!(help.contains("Usage: rollpin promote"), "{help}");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("0", 0), ("30", 30), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200)] {
            assert_eq!(duration(text), Ok(std::time::Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "-5s", "5 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
