//! What `MetricSource`s say: which collectors may speak for which namespaces, and where a sampler stands in between.
//!
//! It reads the Secrets that sources list when a source changes, and otherwise only those that could not be read yet: a
//! Secret's new token is read once its `MetricSource` is touched. It never lists Secrets, and it decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use rollpin_crds::MetricSource;
use tokio::sync::watch::Receiver;

use crate::evidence::{Directory, Listed, Sampler};

/// How long after a failed read a Secret is read again; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(1);
/// The longest such wait.
const RETRY_AT_MOST: Duration = Duration::from_mins(10);

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The API server did not answer, or refused.
    #[error("it cannot be read: {0}; the chart grants what its value tokenSecrets lists")]
    Api(String),
    /// There is no such Secret.
    #[error("there is no such Secret in the operator's namespace; create it")]
    Absent,
    /// It holds no token.
    #[error("it has no key token with text in it; add one")]
    NoToken,
}

/// What one source lists, at one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    name: String,
    version: Option<String>,
    secrets: Vec<String>,
    namespaces: Vec<String>,
}

/// What all sources list, in the order of their names.
pub fn lists<'a>(sources: impl Iterator<Item = &'a MetricSource>) -> Vec<Lists> {
    let one = |source: &MetricSource| Lists {
        name: source.name_any(),
        version: source.resource_version(),
        secrets: source.spec.otlp.iter().flat_map(|otlp| otlp.token_secrets.clone()).collect(),
        namespaces: source.spec.namespaces.clone(),
    };
    let mut all: Vec<Lists> = sources.map(one).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The sources that say that a sampler stands before them, in the order of their names.
pub fn samplers<'a>(sources: impl Iterator<Item = &'a MetricSource>) -> Vec<Sampler> {
    let sampled = sources.filter(|source| source.spec.otlp.as_ref().is_some_and(|otlp| otlp.sampled));
    let mut all: Vec<Sampler> = sampled
        .map(|source| Sampler { source: source.name_any(), namespaces: source.spec.namespaces.clone() })
        .collect();
    all.sort_by(|a, b| a.source.cmp(&b.source));
    all
}

/// Reads one Secret's token.
pub async fn read_token(secrets: Api<Secret>, name: String) -> Result<String, Unread> {
    let secret = secrets.get_opt(&name).await.map_err(|cause| Unread::Api(crate::error::chain(&cause)))?;
    let token = secret.ok_or(Unread::Absent)?.data.and_then(|mut data| data.remove("token"));
    let token = token.and_then(|token| String::from_utf8(token.0).ok()).unwrap_or_default();
    match token.trim() {
        "" => Err(Unread::NoToken),
        token => Ok(token.to_owned()),
    }
}

/// Keeps the tokens of collectors current, until nobody tells of sources any more.
pub async fn keep_tokens<F>(
    mut listed: Receiver<Vec<Lists>>,
    read: impl Fn(String) -> F + Send,
    directory: Arc<Directory>,
) where
    F: Future<Output = Result<String, Unread>> + Send,
{
    let mut tokens = Tokens::default();
    loop {
        let sources = listed.borrow_and_update().clone();
        tokens.want(&sources);
        let mut wait = RETRY;
        loop {
            for name in tokens.unread() {
                let token = read(name.clone()).await;
                tokens.note(name, token);
            }
            directory.set_tokens(tokens.listed(&sources));
            let failing = !tokens.unread().is_empty();
            tokio::select! {
                changed = listed.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = tokio::time::sleep(wait), if failing => wait = (wait * 2).min(RETRY_AT_MOST),
            }
        }
    }
}

/// The tokens that were read, and the Secrets that have to be.
#[derive(Debug, Default)]
struct Tokens {
    known: BTreeMap<String, String>,
    unread: BTreeSet<String>,
    said: BTreeMap<String, Unread>,
}

impl Tokens {
    /// Sources have changed: all that they list has to be read.
    fn want(&mut self, sources: &[Lists]) {
        self.unread = sources.iter().flat_map(|source| source.secrets.clone()).collect();
        self.known.retain(|name, _| self.unread.contains(name));
        self.said.retain(|name, _| self.unread.contains(name));
    }

    fn unread(&self) -> Vec<String> {
        self.unread.iter().cloned().collect()
    }

    /// Takes an answer; true when it is worth a line in the log. A token that was read stays while the API server cannot be
    /// asked, and goes when it says that there is none.
    fn note(&mut self, name: String, token: Result<String, Unread>) -> bool {
        match token {
            Ok(token) => {
                self.unread.remove(&name);
                self.said.remove(&name);
                self.known.insert(name, token);
                false
            }
            Err(why) => {
                if !matches!(why, Unread::Api(_)) {
                    self.known.remove(&name);
                }
                let new = !self.said.contains_key(&name);
                if new {
                    tracing::warn!(secret = %name, %why, "the token of a collector is missing; tried again ever more rarely");
                }
                self.said.insert(name, why);
                new
            }
        }
    }

    fn listed(&self, sources: &[Lists]) -> Vec<Listed> {
        let of = |source: &Lists| {
            let tokens = source.secrets.iter().filter_map(|name| self.known.get(name));
            tokens
                .map(|token| Listed { token: token.clone(), namespaces: source.namespaces.clone() })
                .collect::<Vec<Listed>>()
        };
        sources.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollpin_crds::source::{MetricSourceSpec, OtlpSource};
    use std::net::IpAddr;
    use std::sync::Mutex;
    use tokio::sync::watch;

    fn source(name: &str, secrets: &[&str], sampled: bool) -> MetricSource {
        let otlp = OtlpSource { token_secrets: secrets.iter().map(|&name| name.to_owned()).collect(), sampled };
        let spec =
            MetricSourceSpec { otlp: Some(otlp), namespaces: vec!["team".into()], ..MetricSourceSpec::default() };
        MetricSource::new(name, spec)
    }

    fn refused() -> Unread {
        Unread::Api("403".into())
    }

    #[test]
    fn only_sources_that_say_so_are_sampled() {
        let (plain, sampled) = (source("a", &[], false), source("b", &[], true));
        let expected = Sampler { source: "b".into(), namespaces: vec!["team".into()] };
        assert_eq!(samplers([&sampled, &plain].into_iter()), [expected]);
    }

    #[test]
    fn a_failed_read_is_said_once_until_it_succeeds() {
        let mut tokens = Tokens::default();
        tokens.want(&lists([&source("a", &["s"], false)].into_iter()));
        assert!(tokens.note("s".into(), Err(refused())));
        assert!(!tokens.note("s".into(), Err(refused())));
        assert_eq!(tokens.unread(), ["s"]);
        assert!(!tokens.note("s".into(), Ok("t".into())));
        assert!(tokens.unread().is_empty());
        assert!(tokens.note("s".into(), Err(refused())), "a new failure");
    }

    #[test]
    fn a_token_outlives_an_api_server_that_is_away_but_not_its_secret() {
        let sources = lists([&source("a", &["s"], false)].into_iter());
        let mut tokens = Tokens::default();
        tokens.want(&sources);
        tokens.note("s".into(), Ok("t".into()));
        tokens.want(&sources);
        tokens.note("s".into(), Err(refused()));
        assert_eq!(tokens.listed(&sources), [Listed { token: "t".into(), namespaces: vec!["team".into()] }]);
        tokens.note("s".into(), Err(Unread::Absent));
        assert!(tokens.listed(&sources).is_empty());
    }

    #[test]
    fn a_source_that_is_gone_takes_its_tokens_along() {
        let mut tokens = Tokens::default();
        tokens.want(&lists([&source("a", &["s"], false)].into_iter()));
        tokens.note("s".into(), Ok("t".into()));
        tokens.want(&[]);
        assert!(tokens.known.is_empty() && tokens.unread().is_empty());
    }

    /// Lets a token speak, or waits until it may.
    async fn speaks(directory: &Directory, token: &str) {
        let peer: IpAddr = "10.0.0.8".parse().unwrap();
        let shown = format!("Bearer {token}");
        while directory.authorise(peer, Some(&shown)).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn secrets_are_read_when_a_source_changes_and_again_only_while_they_fail() {
        let directory = Arc::new(Directory::new(|_| None));
        let (told, listed) = watch::channel(lists([&source("a", &["late", "good"], false)].into_iter()));
        let reads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reads);
        let read = move |name: String| {
            let mut reads = seen.lock().unwrap();
            let first = !reads.contains(&name);
            reads.push(name.clone());
            let answer = if name == "late" && first { Err(Unread::Absent) } else { Ok(format!("token-{name}")) };
            async move { answer }
        };
        let task = tokio::spawn(keep_tokens(listed, read, Arc::clone(&directory)));
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, speaks(&directory, "token-late")).await.unwrap();
        tokio::time::sleep(RETRY * 3).await;
        assert_eq!(*reads.lock().unwrap(), ["good", "late", "late"], "at rest nothing is read");
        told.send(lists([&source("b", &["other"], false)].into_iter())).unwrap();
        tokio::time::timeout(patience, speaks(&directory, "token-other")).await.unwrap();
        assert_eq!(reads.lock().unwrap().last().map(String::as_str), Some("other"));
        assert!(directory.authorise("10.0.0.8".parse().unwrap(), Some("Bearer token-good")).is_err());
        drop(told);
        task.await.unwrap();
    }
}
