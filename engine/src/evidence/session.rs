//! The open sessions of an attempt, in bounded memory: which arm, how it began, what was heard.
//!
//! It decides only who is counted. Signals of one session may come in any order and in any batches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::outcome::Heard;
use super::signal::{Arm, Assignment, Kind, Signal, Start};

/// Bounds of the receiver, the same for every attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that are kept open at once; more are left out, whichever arm they belong to.
    pub open_sessions: usize,
    /// How long telemetry may travel: nothing is closed or folded earlier than this after its time. The batch processors of
    /// the OpenTelemetry SDKs wait up to five seconds by default.
    pub grace_millis: i64,
    /// How far the clock of a sender may be off.
    pub skew_millis: i64,
    /// Silence of an arm with traffic that is worth a word.
    pub quiet_millis: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { open_sessions: 100_000, grace_millis: 5_000, skew_millis: 60_000, quiet_millis: 60_000 }
    }
}

/// What becomes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its start was not heard yet.
    Unstarted,
    /// It was randomised, and waits for its stratum to close or to mature.
    Counted,
    /// Every gate has folded it.
    Folded,
    /// It is not compared: pinned, of unknown assignment, moved, or left out.
    NotCounted,
}

/// One open session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Where it was first seen.
    pub arm: Arm,
    /// What becomes of it.
    pub fate: Fate,
    /// When its first signal was received.
    pub first_received: i64,
    /// When it began, once that was heard.
    pub began: Option<i64>,
    /// Slice labels and values.
    pub slices: Vec<(String, String)>,
    /// The stratum that it belongs to, once that is closed.
    pub stratum: Option<i64>,
    /// What was heard.
    pub heard: Heard,
    moved: bool,
}

/// What a signal turned out to mean for the count of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heeded {
    /// Nothing that is counted.
    Nothing,
    /// A randomised session began: it needs a stratum.
    Began {
        /// The conversation.
        conversation: Arc<str>,
        /// The arm.
        arm: Arm,
        /// By the sender's clock.
        at: i64,
    },
    /// A session arrived with a pin.
    Preassigned,
    /// A session began, and nobody knows how it came here.
    Unassigned,
    /// A session was seen on both releases.
    Moved,
    /// A session is left out: the clocks disagree, or there is no room.
    Dropped,
}

/// The open sessions.
#[derive(Clone, Debug, Default)]
pub struct Table {
    sessions: BTreeMap<Arc<str>, Session>,
    expiry: BTreeSet<(i64, Arc<str>)>,
}

impl Table {
    /// How many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// One session.
    #[must_use]
    pub fn get(&self, conversation: &str) -> Option<&Session> {
        self.sessions.get(conversation)
    }

    /// One session, to be changed.
    pub fn get_mut(&mut self, conversation: &str) -> Option<&mut Session> {
        self.sessions.get_mut(conversation)
    }

    /// Takes a signal of one arm in. Sessions that began before `since` belong to nobody's strata.
    pub fn take(&mut self, arm: Arm, signal: &Signal, since: i64, limits: &Limits, keep_millis: i64) -> Heeded {
        let Some(key) = self.admit(arm, signal, limits, keep_millis) else {
            return if matches!(&signal.kind, Kind::Start(_)) { Heeded::Dropped } else { Heeded::Nothing };
        };
        let Some(session) = self.sessions.get_mut(&key) else {
            return Heeded::Nothing;
        };
        if session.arm != arm {
            return session.move_away();
        }
        session.heard.hear(signal.at_millis, &signal.kind);
        match &signal.kind {
            Kind::Start(start) => session.start(key, signal.at_millis, start, since, limits),
            Kind::Turn(_) | Kind::Tool { .. } | Kind::Evaluation { .. } | Kind::End => Heeded::Nothing,
        }
    }

    fn admit(&mut self, arm: Arm, signal: &Signal, limits: &Limits, keep_millis: i64) -> Option<Arc<str>> {
        if let Some((key, _)) = self.sessions.get_key_value(signal.conversation.as_str()) {
            return Some(Arc::clone(key));
        }
        if self.sessions.len() >= limits.open_sessions {
            return None;
        }
        let key: Arc<str> = Arc::from(signal.conversation.as_str());
        self.expiry.insert((signal.received_millis + keep_millis, Arc::clone(&key)));
        self.sessions.insert(Arc::clone(&key), Session::first_heard(arm, signal.received_millis));
        Some(key)
    }

    /// Forgets sessions whose time has passed. Those that still wait for a stratum stay.
    pub fn expire(&mut self, now: i64, again_after: i64) {
        while let Some((at, key)) = self.expiry.first().cloned() {
            if at > now {
                return;
            }
            self.expiry.pop_first();
            if self.sessions.get(&key).is_some_and(|session| session.fate == Fate::Counted) {
                self.expiry.insert((now + again_after, key));
            } else {
                self.sessions.remove(&key);
            }
        }
    }
}

impl Session {
    fn first_heard(arm: Arm, received: i64) -> Self {
        Self {
            arm,
            fate: Fate::Unstarted,
            first_received: received,
            began: None,
            slices: Vec::new(),
            stratum: None,
            heard: Heard::default(),
            moved: false,
        }
    }

    /// A session seen on both releases tells about neither.
    fn move_away(&mut self) -> Heeded {
        if self.moved {
            return Heeded::Nothing;
        }
        self.moved = true;
        if self.fate != Fate::Folded {
            self.fate = Fate::NotCounted;
        }
        Heeded::Moved
    }

    fn start(&mut self, key: Arc<str>, at: i64, start: &Start, since: i64, limits: &Limits) -> Heeded {
        if self.fate != Fate::Unstarted {
            return Heeded::Nothing;
        }
        self.fate = Fate::NotCounted;
        self.began = Some(at);
        let first = self.first_received;
        match start.assignment {
            Assignment::Pinned => Heeded::Preassigned,
            Assignment::Unknown => Heeded::Unassigned,
            Assignment::Weighted if (at - first).abs() > limits.skew_millis => Heeded::Dropped,
            // It began under another weight, which nobody here remembers.
            Assignment::Weighted if at < since => Heeded::Dropped,
            Assignment::Weighted => {
                self.fate = Fate::Counted;
                self.slices.clone_from(&start.slices);
                Heeded::Began { conversation: key, arm: self.arm, at }
            }
        }
    }
}
