//! A bounded load generator for agents behind rollpin: sessions of several turns that echo the pin, and a report on who
//! answered them. Decides when sessions begin and end; always stops by itself.

mod args;
mod session;
mod tally;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Parser as _;
use serde::Serialize;
use thiserror::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until, timeout_at},
};

use crate::{
    args::Args,
    session::{Run, Session, now},
    tally::{Micros, Tally},
};

/// Why there is no report.
#[derive(Debug, Error)]
enum RunError {
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
    #[error("signals cannot be watched")]
    Signals(#[source] std::io::Error),
    #[error("the report cannot be made")]
    Render(#[from] serde_json::Error),
    #[error("the report cannot be written to {path}")]
    Write {
        path: std::path::PathBuf,
        #[source]
        cause: std::io::Error,
    },
}

#[derive(Serialize)]
struct Report<'a> {
    url: &'a str,
    seed: Option<u64>,
    started_us: Micros,
    ended_us: Micros,
    #[serde(flatten)]
    tally: &'a Tally,
}

/// Turns true once, when the run should begin nothing more.
type Stop = watch::Receiver<bool>;

#[tokio::main]
async fn main() -> ExitCode {
    match generate(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            eprintln!("loadgen: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

/// Load goes to a gateway in plain HTTP: a client that needs no certificates of the machine.
fn client(args: &Args) -> Result<reqwest::Client, RunError> {
    // Another call that installed it first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([]).timeout(args.timeout).build();
    client.map_err(RunError::Client)
}

async fn generate(args: Args) -> Result<(), RunError> {
    let client = client(&args)?;
    let started_us = now();
    let run = Run::new(args, client);
    let (ending, stop) = watch::channel(false);
    let end = Instant::now() + run.args.duration;
    let watcher = watch_for_the_end(ending, end)?;
    let mut open = JoinSet::new();
    let last_began = begin_sessions(&run, &mut open, stop).await;
    finish(&run, &mut open, last_began, end).await;
    watcher.abort();
    report(&run, started_us)
}

/// Begins sessions until their number, the time or a signal ends it. Returns when the last one began.
async fn begin_sessions(run: &Arc<Run>, open: &mut JoinSet<()>, stop: Stop) -> Instant {
    let mut ended = stop.clone();
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(run.args.seed.unwrap_or_else(|| fastrand::u64(..)));
    let mut next = began;
    let mut progress = interval(Duration::from_secs(1));
    let mut number = 0;
    while wanted(run, number) {
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => break,
            _ = progress.tick() => show(run, began, open.len()),
            Some(_) = open.join_next() => {}
            () = sleep_until(next) => {
                next += pause_before_next(&mut random, run.args.sessions_per_second);
                if open.len() >= run.args.max_open {
                    run.tally(|tally| tally.dropped += 1);
                } else {
                    open.spawn(one(Arc::clone(run), number, stop.clone()));
                    number += 1;
                }
            }
        }
    }
    Instant::now()
}

/// A hold needs sessions until enough of them are held.
fn wanted(run: &Run, number: u64) -> bool {
    let enough = run.args.hold.is_some_and(|hold| run.tally(|tally| tally.held) >= hold as u64);
    number < run.args.sessions && !enough
}

/// The time to the next arrival of a Poisson process.
fn pause_before_next(random: &mut fastrand::Rng, per_second: f64) -> Duration {
    Duration::from_secs_f64(-(1.0 - random.f64()).ln() / per_second)
}

async fn one(run: Arc<Run>, number: u64, stop: Stop) {
    let session = Session::new(&run.args, number);
    run.tally(|tally| tally.sessions += 1);
    match run.args.hold {
        None => talk(&run, session, stop).await,
        Some(hold) => keep(&run, session, hold as u64, stop).await,
    }
}

/// A session that ends by itself.
async fn talk(run: &Run, mut session: Session, mut stop: Stop) {
    for turn in 1..=run.args.turns {
        if session.turn(run).await.is_err() {
            run.tally(|tally| tally.failed += 1);
            return;
        }
        if turn < run.args.turns && ended_within(&mut stop, run.args.think_time).await {
            run.tally(|tally| tally.cut_short += 1);
            return;
        }
    }
    run.tally(|tally| tally.finished += 1);
}

/// A session that is asked again and again until the run ends. An error does not end it: what follows is the point.
async fn keep(run: &Run, mut session: Session, hold: u64, mut stop: Stop) {
    if session.turn(run).await.is_err() {
        run.tally(|tally| tally.failed += 1);
        return;
    }
    let wrong_release = run.args.hold_on.as_deref().is_some_and(|release| session.began_on() != Some(release));
    let kept = !wrong_release
        && run.tally(|tally| {
            let room = tally.held < hold;
            tally.held += u64::from(room);
            room
        });
    if !kept {
        run.tally(|tally| tally.finished += 1);
        return;
    }
    while !ended_within(&mut stop, run.args.ping_interval).await {
        let _ = session.turn(run).await; // Counted already.
    }
    run.tally(|tally| tally.cut_short += 1);
}

/// Waits; `true` if the run ended meanwhile.
async fn ended_within(stop: &mut Stop, pause: Duration) -> bool {
    tokio::select! {
        _ = stop.wait_for(|ended| *ended) => true,
        () = sleep(pause) => false,
    }
}

/// Waits for what is under way: until the time is up and the grace after it.
async fn finish(run: &Arc<Run>, open: &mut JoinSet<()>, since: Instant, end: Instant) {
    let limit = end.max(since) + run.args.grace;
    let mut progress = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            ended = timeout_at(limit, open.join_next()) => match ended {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => {
                    let left = open.len() as u64;
                    run.tally(|tally| tally.cut_short += left);
                    return open.shutdown().await;
                }
            },
            _ = progress.tick() => show(run, since, open.len()),
        }
    }
}

fn watch_for_the_end(ending: watch::Sender<bool>, end: Instant) -> Result<tokio::task::JoinHandle<()>, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            () = sleep_until(end) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ending.send_replace(true);
        // Kept open: a closed channel would read as an end that nobody gave.
        std::future::pending::<()>().await;
    }))
}

fn show(run: &Run, since: Instant, open: usize) {
    eprintln!("{}", run.tally(|tally| tally.line(since.elapsed().as_secs(), open)));
}

fn report(run: &Run, started_us: Micros) -> Result<(), RunError> {
    let text = run.tally(|tally| {
        tally.finish();
        serde_json::to_string_pretty(&Report {
            url: &run.args.url,
            seed: run.args.seed,
            started_us,
            ended_us: now(),
            tally,
        })
    })?;
    println!("{text}");
    match &run.args.report {
        None => Ok(()),
        Some(path) => std::fs::write(path, text).map_err(|cause| RunError::Write { path: path.clone(), cause }),
    }
}
