//! `rollpin` on the command line, also found as `kubectl rollpin`: a thin shell over the engine and the API server.
//!
//! Decides nothing about a rollout. What changes something becomes a `ReleaseCommand` that the operator carries out.

mod args;
mod cmd;
mod connect;
mod digests;
mod failure;
mod manifest;
mod output;
mod progress;
mod schema;
mod settle;
mod yaml;

use std::process::ExitCode;

use crate::args::{Cli, Verb};
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(shown) => return args::show(&shown),
    };
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(Failure::OutputClosed) => Exit::Ok.into(),
        Err(failure) => {
            output::complain(&failure);
            failure.exit().into()
        }
    }
}

/// Offline verbs never open a socket; the others get a runtime.
fn run(cli: &Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    match &cli.verb {
        Verb::Digest(it) => cmd::digest::run(global, it),
        Verb::Lint(it) => cmd::lint::run(global, it),
        Verb::Completion(it) => cmd::completion::run(it),
        Verb::Replay(it) if it.file.is_some() => cmd::replay::run_offline(global, it),
        Verb::Version(it) if it.client => cmd::version::run_offline(global),
        verb => online(cli, verb),
    }
}

fn online(cli: &Cli, verb: &Verb) -> Result<Exit, Failure> {
    // Fails only when a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        tokio::select! {
            done = Box::pin(dispatch(cli, verb)) => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}

async fn dispatch(cli: &Cli, verb: &Verb) -> Result<Exit, Failure> {
    let global = &cli.global;
    match verb {
        Verb::Get(it) => cmd::get::run(global, it).await,
        Verb::List(it) => cmd::list::run(global, it).await,
        Verb::Status(it) => cmd::status::run(global, it).await,
        Verb::Explain(it) => cmd::explain::run(global, it).await,
        Verb::History(it) => cmd::history::run(global, it).await,
        Verb::Promote(it) => cmd::promote::run(global, it).await,
        Verb::Abort(it) => cmd::abort::run(global, it).await,
        Verb::Rollback(it) => Box::pin(cmd::rollback::run(global, it)).await,
        Verb::Pause(it) => cmd::pause::run(global, it).await,
        Verb::Resume(it) => cmd::resume::run(global, it).await,
        Verb::Retry(it) => cmd::retry::run(global, it).await,
        Verb::Replay(it) => cmd::replay::run_online(global, it).await,
        Verb::Version(_) => cmd::version::run_online(global).await,
        Verb::Digest(it) => cmd::digest::run(global, it),
        Verb::Lint(it) => cmd::lint::run(global, it),
        Verb::Completion(it) => cmd::completion::run(it),
    }
}
