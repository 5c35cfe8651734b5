//! The command line, as typed and as checked.
//! Opens nothing; every bound that makes the generator stop by itself is here.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Holds conversations of several turns with an agent, echoes the release pin, and reports who answered.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// Where turns go, such as `http://10.0.0.2:80/v1/turn`.
    #[arg(long)]
    pub url: String,
    /// Host header, where a gateway routes by host name.
    #[arg(long)]
    pub host: Option<String>,
    /// New sessions per second, at random moments (a Poisson process).
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    pub sessions_per_second: f64,
    /// Stop after this many sessions.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub sessions: u64,
    /// Begin nothing after so many seconds; what is under way may take `--grace` more.
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub duration: Duration,
    /// Turns of one session.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub turns: u32,
    /// Seconds between an answer and the session's next turn.
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub think_time: Duration,
    /// Names the conversations `s<seed>-<n>`, so that the same seed asks the same questions; use each seed once per agent.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Do not send the pin back.
    #[arg(long)]
    pub no_echo: bool,
    /// Begin every session with this pin, as a client that chose its release itself.
    #[arg(long, value_name = "BASE32")]
    pub pin: Option<String>,
    /// Write the final report to this file, too.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Instead of sessions that end: keep so many open, and ask each again and again.
    #[arg(long, value_name = "N")]
    pub hold: Option<usize>,
    /// Hold only sessions that began on this release.
    #[arg(long, value_name = "BASE32", requires = "hold")]
    pub hold_on: Option<String>,
    /// Seconds between two turns of a held session.
    #[arg(long, default_value = "0.01", value_parser = seconds)]
    pub ping_interval: Duration,
    /// Seconds that one turn may take.
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    /// Seconds that sessions under way may go on after the end.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub grace: Duration,
    /// Sessions under way at the same time; beyond it an arrival is dropped, and reported.
    #[arg(long, default_value_t = 5_000)]
    pub max_open: usize,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected seconds, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|duration| *duration <= Duration::from_hours(24))
        .ok_or_else(|| "expected 0 to 86400 seconds".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| *rate > 0.0 && *rate <= 10_000.0)
        .ok_or_else(|| "expected more than 0 and at most 10000 a second".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(extra: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["loadgen", "--url", "http://127.0.0.1/v1/turn"].iter().chain(extra))
    }

    #[test]
    fn every_run_ends_even_if_nobody_says_when() {
        assert_eq!(parse(&[]).unwrap().duration, Duration::from_mins(1));
    }

    #[test]
    fn numbers_that_would_never_end_or_never_begin_are_refused() {
        for extra in [
            ["--duration", "inf"],
            ["--duration", "-1"],
            ["--sessions-per-second", "0"],
            ["--sessions-per-second", "NaN"],
            ["--turns", "0"],
            ["--hold-on", "abc"],
        ] {
            assert!(parse(&extra).is_err(), "{extra:?}");
        }
    }
}
