//! The operator: watches, fetches evidence, writes. Everything that it decides, `rollpin-engine` decides.

mod act;
mod args;
mod build;
mod commit;
mod context;
mod directory;
mod error;
mod evidence;
mod evidence_link;
mod lead;
mod lease;
mod metrics;
mod observe;
mod reconcile;
mod report;
mod sources;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use args::{Args, LogFormat};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long a call of the API server may take.
const CALL: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(args.log_format);
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            tracing::error!(cause = %error::chain(&*cause), "rollpin ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // The one TLS provider, for the API server and for probes; only fails if it is installed twice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = kube::Client::try_from(configuration().await?)?;
    let metrics = Arc::new(metrics::Metrics::new());
    let (mut stop, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let served = tokio::spawn(metrics::serve(args.metrics, Arc::clone(&metrics)));
    // A container that was restarted in its pod may still wear the label of the leader that it was.
    lead::unlabel(&args, &client).await;
    let mut candidate = lease::Candidate::new(client.clone(), &args.namespace, &args.lease_name, &args.holder());
    tokio::select! {
        _ = stop.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        ended = served => return Err(format!("metrics and health at {}: {ended:?}", args.metrics).into()),
        () = stand_by(&mut candidate, &metrics) => {}
    }
    let outcome = tokio::select! {
        _ = stop.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = candidate.keep() => Err("the lease was lost: another replica leads".into()),
        ended = lead::lead(&args, client.clone(), Arc::clone(&metrics)) => ended,
    };
    // Whoever waits need not wait for the end of the lease; the label goes first, so that telemetry follows.
    lead::unlabel(&args, &client).await;
    let _ = tokio::time::timeout(Duration::from_secs(2), candidate.release()).await;
    outcome
}

async fn stand_by(candidate: &mut lease::Candidate, metrics: &metrics::Metrics) {
    metrics.ready(true);
    candidate.win().await;
    metrics.ready(false);
}

/// The client's configuration: calls are bounded, and never repeated behind our back.
async fn configuration() -> Result<kube::Config, kube::config::InferConfigError> {
    let mut config = kube::Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(CALL);
    // Longer than a watch lives, so that a quiet watch is no error.
    config.read_timeout = Some(Duration::from_mins(1));
    Ok(config)
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        LogFormat::Text => builder.init(),
    }
}
