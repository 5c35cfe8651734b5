//! Signals: what a harness says about its sessions, as data. The receiver makes them, the folders below read them.
//!
//! Nothing here decides anything, and nothing carries a word of any conversation.

use std::cmp::Ordering;

/// One thing that a harness said about one session.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The release that said it: the digest in the form that the receiver uses for every release.
    pub release: String,
    /// The conversation.
    pub conversation: String,
    /// When it happened: for a turn, when the turn began. Milliseconds since 1970, by the sender's clock.
    pub at_millis: i64,
    /// When it was received, by the receiver's clock.
    pub received_millis: i64,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A session began.
    Start(Start),
    /// The model, or the agent as a whole, was asked something.
    Turn(Turn),
    /// A tool was called.
    Tool {
        /// The call failed.
        failed: bool,
    },
    /// A judge said something about the session.
    Evaluation {
        /// Name of the evaluation, such as `task_success`.
        name: String,
        /// It failed.
        failed: bool,
    },
    /// The harness holds the session to be over.
    End,
}

/// How a session began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// How it came to this release.
    pub assignment: Assignment,
    /// Slice labels without their prefix, and their values.
    pub slices: Vec<(String, String)>,
}

/// How a session came to its release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assignment {
    /// The weighted rule of the gateway chose: the session was randomised, so it is counted.
    Weighted,
    /// Its first request carried a pin.
    Pinned,
    /// Nobody said.
    #[default]
    Unknown,
}

/// What is known about one turn. `None` is *not reported*, never *no*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// An answer or a tool call broke its schema.
    pub schema_violation: Option<bool>,
    /// How the model came to an end.
    pub finish: Option<Finish>,
    /// The answer was empty.
    pub empty: Option<bool>,
    /// Characters of the answer.
    pub output_length: Option<i64>,
    /// Output tokens.
    pub tokens_out: Option<i64>,
    /// How long the turn took.
    pub latency_millis: Option<i64>,
    /// A hash of the response's id: usage is counted once per response, however many instrumentations report it.
    pub response: Option<u64>,
}

/// How a model came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done.
    Done,
    /// It wants a tool to be called.
    ToolCall,
    /// It ran into the limit of its output.
    Truncated,
    /// It refused, or a filter did.
    Refused,
}

/// Which of the two releases of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// The release on trial.
    Canary,
    /// The release that serves.
    Stable,
}

/// The earliest of two moments, where one may be unknown.
pub(crate) fn earliest(known: &mut Option<i64>, at: i64) {
    if known.is_none_or(|before| at.cmp(&before) == Ordering::Less) {
        *known = Some(at);
    }
}
