//! The agent's settings, read once from the environment and parsed strictly, so that a typing error stops the start.
//! Knows the variables' names and defaults; opens no file and no socket.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use thiserror::Error;

/// Where the release is mounted unless `AGENT_RELEASE_DIR` says otherwise.
pub const RELEASE_DIR: &str = "/etc/agent-release";

/// How much of the harness contract the agent honours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContractLevel {
    /// A plain container: no attestation, no pin, no telemetry.
    Plain,
    /// Attests its release, hands out pins, sends telemetry.
    Attesting,
    /// Also says when a session ends.
    Complete,
}

impl FromStr for ContractLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Self::Plain),
            "1" => Ok(Self::Attesting),
            "2" => Ok(Self::Complete),
            _ => Err("expected 0, 1 or 2".to_owned()),
        }
    }
}

/// A deliberate defect, for tests of what rollpin does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Hash other bytes than those mounted, as a harness with a stale copy would.
    WrongBytes,
    /// The right bytes, but never ready.
    NotReady,
    /// End with an error right after the start.
    Crash,
    /// Answer every turn with status 500.
    FailTurns,
    /// Answer, but send no telemetry.
    NoTelemetry,
    /// Send telemetry, but no evaluation of any session.
    NoEvaluations,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "wrong-bytes" => Ok(Self::WrongBytes),
            "not-ready" => Ok(Self::NotReady),
            "crash" => Ok(Self::Crash),
            "fail-turns" => Ok(Self::FailTurns),
            "no-telemetry" => Ok(Self::NoTelemetry),
            "no-evaluations" => Ok(Self::NoEvaluations),
            _ => Err("expected wrong-bytes, not-ready, crash, fail-turns, no-telemetry or no-evaluations".to_owned()),
        }
    }
}

/// The model to play when no release is mounted: `name:version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    /// `gpt-4` or `scripted`.
    pub name: String,
    /// The snapshot, or the script.
    pub version: String,
}

impl FromStr for ModelId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => {
                Ok(Self { name: name.to_owned(), version: version.to_owned() })
            }
            _ => Err("expected name:version, such as gpt-4:0314".to_owned()),
        }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.name, self.version)
    }
}

/// Everything that the environment decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// `REPLAY_LISTEN`, default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// `AGENT_CONTRACT_LEVEL`; absent: 1 where a release is mounted, else 0.
    pub level: Option<ContractLevel>,
    /// `AGENT_RELEASE_DIR`.
    pub release_dir: PathBuf,
    /// `AGENT_RELEASE_DIGEST`: the digest that the pod is meant to serve, `sha256:<hex>`.
    pub declared_digest: Option<String>,
    /// `AGENT_RELEASE_NAME`, else `OTEL_SERVICE_NAME`, else `replay-agent`.
    pub agent: String,
    /// `REPLAY_MODEL`, used only when no release is mounted.
    pub fallback_model: ModelId,
    /// `REPLAY_LATENCY_DIVISOR`, at least 1: recorded seconds are divided by it.
    pub latency_divisor: u32,
    /// `REPLAY_SEED`: another seed, other questions for the same conversations.
    pub seed: u64,
    /// `REPLAY_FAULT`.
    pub fault: Option<Fault>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the exporter reads its value itself.
    pub otlp: bool,
}

/// A variable that cannot be used as it stands.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("environment variable {name} is {value:?}: {problem}")]
pub struct ConfigError {
    name: &'static str,
    value: String,
    problem: String,
}

impl Config {
    /// Reads the settings through `lookup`, which is `std::env::var` outside tests. Empty counts as absent.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Ok(Self {
            listen: parsed(&lookup, "REPLAY_LISTEN")?.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 8080))),
            level: parsed(&lookup, "AGENT_CONTRACT_LEVEL")?,
            release_dir: lookup("AGENT_RELEASE_DIR").map_or_else(|| RELEASE_DIR.into(), PathBuf::from),
            declared_digest: lookup("AGENT_RELEASE_DIGEST"),
            agent: lookup("AGENT_RELEASE_NAME")
                .or_else(|| lookup("OTEL_SERVICE_NAME"))
                .unwrap_or_else(|| "replay-agent".to_owned()),
            fallback_model: parsed(&lookup, "REPLAY_MODEL")?
                .unwrap_or_else(|| ModelId { name: "gpt-4".to_owned(), version: "0314".to_owned() }),
            latency_divisor: parsed::<std::num::NonZeroU32>(&lookup, "REPLAY_LATENCY_DIVISOR")?
                .map_or(20, std::num::NonZeroU32::get),
            seed: parsed(&lookup, "REPLAY_SEED")?.unwrap_or(0),
            fault: parsed(&lookup, "REPLAY_FAULT")?,
            otlp: lookup("OTEL_EXPORTER_OTLP_ENDPOINT").is_some(),
        })
    }
}

fn parsed<T>(lookup: &impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<T>, ConfigError>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let Some(value) = lookup(name) else {
        return Ok(None);
    };
    match value.parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => Err(ConfigError { name, problem: T::Err::to_string(&error), value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.release_dir, PathBuf::from("/etc/agent-release"));
        assert_eq!(config.latency_divisor, 20);
        assert_eq!(config.fallback_model.to_string(), "gpt-4-0314");
        assert!(!config.otlp && config.level.is_none() && config.fault.is_none());
    }

    #[test]
    fn a_mistyped_variable_is_named_with_its_value() {
        for (name, value) in [
            ("REPLAY_FAULT", "wrong_bytes"),
            ("AGENT_CONTRACT_LEVEL", "3"),
            ("REPLAY_LATENCY_DIVISOR", "0"),
            ("REPLAY_MODEL", "gpt-4"),
            ("REPLAY_SEED", "-1"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(value), "{message}");
        }
    }

    #[test]
    fn the_agent_is_named_by_its_release_first() {
        let named = read(&[("AGENT_RELEASE_NAME", "support"), ("OTEL_SERVICE_NAME", "other")]);
        assert_eq!(named.unwrap().agent, "support");
        assert_eq!(read(&[("OTEL_SERVICE_NAME", "other")]).unwrap().agent, "other");
    }
}
