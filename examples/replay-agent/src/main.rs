//! An example agent harness for rollpin: a small HTTP and MCP service that attests its release, hands out pins, and
//! replays recorded answers of the pinned model. Starts it, and ends it within five seconds of SIGTERM.

mod agent;
mod config;
mod conversation;
mod draw;
mod http;
mod mcp;
mod outcome;
mod recorded;
mod release;
mod script;
mod telemetry;

use std::{
    error::Error as _,
    future::IntoFuture as _,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    agent::Agent,
    config::{Config, ConfigError, ContractLevel, Fault, ModelId},
    conversation::Conversations,
    outcome::{Player, PlayerError},
    release::{LoadError, Release},
    telemetry::{Identity, Telemetry, TelemetryError},
};

/// Requests that a gateway sent before it learnt of the end are still taken for so long.
const LINGER: Duration = Duration::from_millis(800);
/// Answers in progress may take so long after that.
const DRAIN: Duration = Duration::from_millis(3_200);
/// Telemetry may take so long after that, for each signal.
const FLUSH: Duration = Duration::from_millis(400);
/// Conversations that are remembered.
const REMEMBERED: usize = 100_000;

/// Why the agent cannot start.
#[derive(Debug, Error)]
enum StartError {
    #[error("the environment is wrong")]
    Config(#[from] ConfigError),
    #[error("the release cannot be loaded")]
    Load(#[from] LoadError),
    #[error("model.json has no {field}: rollpin writes provider, name and version")]
    ModelField { field: &'static str },
    #[error("the model cannot be played")]
    Player(#[from] PlayerError),
    #[error("telemetry cannot start")]
    Telemetry(#[from] TelemetryError),
    #[error("cannot serve on {address}")]
    Serve {
        address: std::net::SocketAddr,
        #[source]
        cause: std::io::Error,
    },
    #[error("the runtime cannot start")]
    Runtime(#[source] std::io::Error),
    #[error("REPLAY_FAULT=crash")]
    Told,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,rmcp=warn".into()),
        )
        .with_ansi(false)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut causes = Vec::new();
            let mut cause = failure.source();
            while let Some(inner) = cause {
                causes.push(inner.to_string());
                cause = inner.source();
            }
            error!(causes = causes.join(": "), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), StartError> {
    let config = Config::read(|name| std::env::var(name).ok())?;
    let agent = Arc::new(build(&config)?);
    if config.fault == Some(Fault::Crash) {
        return Err(StartError::Told);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::Runtime)?;
    let served = runtime.block_on(serve(&config, &agent));
    runtime.shutdown_timeout(Duration::from_millis(50));
    agent.telemetry.stop(FLUSH);
    served
}

fn build(config: &Config) -> Result<Agent, StartError> {
    let loaded = load(config)?;
    let (provider, model) = match &loaded {
        Some(release) => model_of(release)?,
        None => ("replay".to_owned(), config.fallback_model.clone()),
    };
    let level = match (config.level, &loaded) {
        (Some(level), _) => level,
        (None, Some(_)) => ContractLevel::Attesting,
        (None, None) => ContractLevel::Plain,
    };
    let shown = if model.name == "scripted" { model.name.clone() } else { model.to_string() };
    // A plain container keeps nothing of the contract, whatever is mounted.
    let attested = loaded.filter(|_| level > ContractLevel::Plain);
    let release = attested.as_ref().map(|release| release.digest);
    let identity = Identity { agent: config.agent.clone(), provider, model: shown.clone(), release };
    let send = config.otlp && level > ContractLevel::Plain && config.fault != Some(Fault::NoTelemetry);
    Ok(Agent {
        name: config.agent.clone(),
        model: shown,
        level,
        release,
        unattested: attested.and_then(|release| objection(config, &release)),
        fault: config.fault,
        player: Player::of(&model, config.latency_divisor)?,
        seed: config.seed,
        conversations: Conversations::new(REMEMBERED),
        telemetry: Arc::new(Telemetry::start(identity, send)?),
        draining: AtomicBool::new(false),
    })
}

/// The mounted release. Level 0 may run without one; a level that attests may not.
fn load(config: &Config) -> Result<Option<Release>, StartError> {
    let mounted = config.release_dir.join("manifest.json").exists();
    let may_run_without = config.level.is_none_or(|level| level == ContractLevel::Plain);
    if !mounted && may_run_without {
        return Ok(None);
    }
    let stale_copy = config.fault == Some(Fault::WrongBytes);
    Ok(Some(release::load(&config.release_dir, stale_copy)?))
}

fn model_of(release: &Release) -> Result<(String, ModelId), StartError> {
    let field = |field: &'static str| {
        release
            .components
            .get("model")
            .and_then(|model| model.get(field))
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
            .ok_or(StartError::ModelField { field })
    };
    let model = ModelId { name: field("name")?, version: field("version")? };
    Ok((field("provider")?, model))
}

/// Why what was loaded must not be attested.
fn objection(config: &Config, release: &Release) -> Option<String> {
    if let Some(mismatch) = release.mismatches.first() {
        return Some(mismatch.to_string());
    }
    match &config.declared_digest {
        Some(declared) if *declared != release.digest.oci() => Some(format!("AGENT_RELEASE_DIGEST is {declared}")),
        Some(_) | None => None,
    }
}

async fn serve(config: &Config, agent: &Arc<Agent>) -> Result<(), StartError> {
    let failed = |cause| StartError::Serve { address: config.listen, cause };
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Runtime)?;
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    announce(agent, listener.local_addr().map_err(failed)?);
    let end = Arc::new(Notify::new());
    let ended = Arc::clone(&end);
    let server = axum::serve(listener, http::router(agent))
        .with_graceful_shutdown(async move { ended.notified().await })
        .into_future();
    let mut server = tokio::spawn(server);
    tokio::select! {
        outcome = &mut server => return outcome.map_or(Ok(()), |served| served.map_err(failed)),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    agent.draining.store(true, Ordering::Relaxed);
    sleep(LINGER).await;
    end.notify_one();
    if timeout(DRAIN, server).await.is_err() {
        warn!("some answers took longer than the end could wait");
    }
    info!("ended");
    Ok(())
}

fn announce(agent: &Agent, address: std::net::SocketAddr) {
    info!(
        %address,
        model = agent.model,
        level = ?agent.level,
        release = agent.release.map(|digest| digest.oci()),
        unattested = agent.unattested,
        fault = ?agent.fault,
        "serving"
    );
}
