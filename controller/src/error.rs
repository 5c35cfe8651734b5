//! What can go wrong in a reconcile: what failed, on which object, and when to try again. Success is never an error.

use std::time::Duration;

/// A reconcile that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the API server failed.
    #[error("failed to {verb} {object}")]
    Api {
        /// What was tried, such as `apply`.
        verb: &'static str,
        /// On which object, such as `Deployment agents/support-abc`.
        object: String,
        /// The answer.
        #[source]
        cause: Box<kube::Error>,
    },
    /// Somebody else wrote the object first.
    #[error("{object} changed since it was read")]
    Conflict {
        /// Which object.
        object: String,
    },
    /// A stored revision does not hash to its digest.
    #[error("revision {revision} does not hash to the digest that it names: {why}")]
    Forged {
        /// Its name.
        revision: String,
        /// What differs.
        why: String,
    },
    /// An object of ours could not be built or read.
    #[error("{object} cannot be used: {why}")]
    Malformed {
        /// Which object.
        object: String,
        /// Why.
        why: String,
    },
    /// A name is taken by an object that is not ours.
    #[error("{object} exists and does not belong to this AgentRelease: rename or remove it")]
    Taken {
        /// Which object.
        object: String,
    },
    /// A bug of ours, kept to the one object that met it.
    #[error("the reconcile of {object} ended in a bug: {why}")]
    Panicked {
        /// Which object.
        object: String,
        /// The panic's words.
        why: String,
    },
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once, on fresh copies.
    Now,
    /// Later and later.
    Backoff,
}

impl Error {
    /// A failed call; a lost race is told apart.
    pub fn api(verb: &'static str, object: impl Into<String>, cause: kube::Error) -> Self {
        match &cause {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict { object: object.into() },
            _ => Self::Api { verb, object: object.into(), cause: Box::new(cause) },
        }
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Conflict { .. } => Retry::Now,
            Self::Api { .. }
            | Self::Forged { .. }
            | Self::Malformed { .. }
            | Self::Taken { .. }
            | Self::Panicked { .. } => Retry::Backoff,
        }
    }

    /// A word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Conflict { .. } => "conflict",
            Self::Forged { .. } => "forged",
            Self::Malformed { .. } => "malformed",
            Self::Taken { .. } => "taken",
            Self::Panicked { .. } => "panic",
        }
    }
}

/// Seconds to wait after the given number of failures in a row: 1, 2, 4 ... 60.
pub fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(60).min(60))
}

/// The words of an error and of its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Some libraries repeat their cause in their own words.
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_lasts_is_tried_once_a_minute() {
        assert_eq!([1, 2, 3, 7, 100].map(|failures| backoff(failures).as_secs()), [1, 2, 4, 60, 60]);
    }
}
