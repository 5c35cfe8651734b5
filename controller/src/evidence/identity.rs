//! Who may speak for a release: its own pods, told by their address, and collectors, told by a token.
//!
//! Otherwise any pod could force a rollback or a promotion. What a sender says about itself is believed only behind a token.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};

/// A release of an agent, as found from a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Namespace of the agent.
    pub namespace: String,
    /// Name of the `AgentRelease`.
    pub name: String,
    /// The release digest, in any of its forms.
    pub digest: String,
}

/// A token of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The token.
    pub token: String,
    /// Namespaces for whose agents it may speak; `*` is all.
    pub namespaces: Vec<String>,
}

/// What a request is allowed to speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// One release: the peer is one of its pods.
    Pod(Speaker),
    /// Whatever release the resource names, in these namespaces.
    Collector {
        /// Namespaces; `*` is all.
        namespaces: Vec<String>,
    },
}

/// Why a request may not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No pod of a release, and no token.
    #[error(
        "the sender is no pod of a release and shows no token; send from the agent's own pod, or list a token in a MetricSource"
    )]
    Stranger,
    /// A token that nobody listed.
    #[error("this token is not listed in any MetricSource with otlp.tokenSecrets")]
    WrongToken,
}

type Lookup = dyn Fn(IpAddr) -> Option<Speaker> + Send + Sync;

/// Who is who.
pub struct Directory {
    release_of: Box<Lookup>,
    tokens: RwLock<Vec<Listed>>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Directory {
    /// `release_of` finds the pod with an address in the caller's own copy of the cluster; it must not wait.
    pub fn new(release_of: impl Fn(IpAddr) -> Option<Speaker> + Send + Sync + 'static) -> Self {
        Self { release_of: Box::new(release_of), tokens: RwLock::new(Vec::new()) }
    }

    /// The tokens that are listed from now on.
    pub fn set_tokens(&self, listed: Vec<Listed>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    /// What a peer may speak for. A pod of a release speaks for that release, whatever else it shows.
    pub fn authorise(&self, peer: IpAddr, authorization: Option<&str>) -> Result<Authority, Refused> {
        if let Some(speaker) = (self.release_of)(peer.to_canonical()) {
            let digest = canonical(&speaker.digest);
            return Ok(Authority::Pod(Speaker { digest, ..speaker }));
        }
        let Some(shown) = authorization else {
            return Err(Refused::Stranger);
        };
        let shown =
            shown.strip_prefix("Bearer ").or_else(|| shown.strip_prefix("bearer ")).ok_or(Refused::WrongToken)?;
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let matching: Vec<&Listed> = tokens.iter().filter(|listed| same(&listed.token, shown)).collect();
        if matching.is_empty() {
            return Err(Refused::WrongToken);
        }
        let namespaces: BTreeSet<String> = matching.iter().flat_map(|listed| listed.namespaces.clone()).collect();
        Ok(Authority::Collector { namespaces: namespaces.into_iter().collect() })
    }
}

/// Compares without telling by its time how much was right. An empty token never matches.
fn same(listed: &str, shown: &str) -> bool {
    let differing = listed.bytes().zip(shown.bytes()).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    !listed.is_empty() && listed.len() == shown.len() && differing == 0
}

/// One form for a release digest, so that a label (`base32`) and a status (`sha256:` and hexadecimal) compare equal.
#[must_use]
pub fn canonical(digest: &str) -> String {
    let hexadecimal = digest.strip_prefix("sha256:").and_then(|text| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok());
    match hexadecimal {
        Some(bytes) => BASE32_NOPAD.encode(&bytes).to_ascii_lowercase(),
        None => digest.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let directory = Directory::new(|peer| {
            (peer.to_string() == "10.0.0.7").then(|| Speaker {
                namespace: "a".into(),
                name: "b".into(),
                digest: "ABC".into(),
            })
        });
        directory.set_tokens(vec![
            Listed { token: "t0ken".into(), namespaces: vec!["x".into()] },
            Listed { token: "t0ken".into(), namespaces: vec!["y".into()] },
            Listed { token: String::new(), namespaces: vec!["*".into()] },
        ]);
        directory
    }

    #[test]
    fn a_pod_speaks_for_its_own_release_whatever_token_it_shows() {
        for peer in ["10.0.0.7", "::ffff:10.0.0.7"] {
            let seen = directory().authorise(peer.parse().unwrap(), Some("Bearer t0ken")).unwrap();
            assert!(matches!(seen, Authority::Pod(speaker) if speaker.digest == "abc"));
        }
    }

    #[test]
    fn a_listed_token_speaks_for_its_namespaces_only() {
        let peer = "10.0.0.8".parse().unwrap();
        let seen = directory().authorise(peer, Some("Bearer t0ken"));
        assert_eq!(seen, Ok(Authority::Collector { namespaces: vec!["x".into(), "y".into()] }));
        for wrong in ["Bearer t0keN", "Bearer t0ke", "Bearer ", "t0ken", ""] {
            assert_eq!(directory().authorise(peer, Some(wrong)), Err(Refused::WrongToken), "{wrong:?}");
        }
        assert_eq!(directory().authorise(peer, None), Err(Refused::Stranger));
    }

    #[test]
    fn a_label_and_a_status_name_the_same_release() {
        let status = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let label = "4oymiquy7qobjgx36tejs35zeqt24qpemsnzgtfeswmrw6csxbkq";
        assert_eq!(canonical(status), label);
        assert_eq!(canonical(label), label);
    }
}
