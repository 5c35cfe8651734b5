//! What the receiver counts about itself. Exposed by whoever serves metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Plain counters since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests that were decoded.
    pub requests: Counter,
    /// Signals that reached an agent.
    pub signals: Counter,
    /// Requests of a peer that is no pod of a release and shows no listed token.
    pub strangers: Counter,
    /// Requests with a token that is not listed.
    pub wrong_tokens: Counter,
    /// Resources behind a listed token that name no release on record.
    pub unknown_releases: Counter,
    /// Resources whose `service.version` is not the release of the pod that sent them. The pod counts.
    pub conflicts: Counter,
    /// Bodies that are too large, or not what their content type says.
    pub malformed: Counter,
    /// Requests that were told to come back later.
    pub overloaded: Counter,
    /// Spans and events whose session was not known when they came; some find it later, by their trace or response.
    pub without_session: Counter,
}

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn up(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Every counter with its name and what it counts, for the metrics page.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &'static str, u64); 9] {
        let Self {
            requests,
            signals,
            strangers,
            wrong_tokens,
            unknown_releases,
            conflicts,
            malformed,
            overloaded,
            without_session,
        } = self;
        [
            ("requests", "OTLP requests that were decoded", requests.get()),
            ("signals", "Session signals that reached an agent", signals.get()),
            ("strangers", "Requests of peers that may not speak for any release", strangers.get()),
            ("wrong_tokens", "Requests with a token that is not listed", wrong_tokens.get()),
            ("unknown_releases", "Resources behind a token that name no release on record", unknown_releases.get()),
            ("conflicts", "Resources whose service.version is not the release of their pod", conflicts.get()),
            ("malformed", "Bodies that are too large or cannot be decoded", malformed.get()),
            ("overloaded", "Requests that were told to come back later", overloaded.get()),
            ("without_session", "Spans and events whose session was not known when they came", without_session.get()),
        ]
    }
}
