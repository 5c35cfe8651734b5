//! The agent itself: answers a turn and reports it. HTTP and MCP are two doors to this one room.
//! Knows no protocol; what a door has to read or write stands in its own file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    config::{ContractLevel, Fault},
    conversation::{Assignment, Conversations, Naming},
    outcome::{Outcome, Player},
    release::Digest,
    telemetry::{Telemetry, TurnReport},
};

/// Marks, at the end of a handle, a conversation that arrived with a pin already; any replica can read it.
const PINNED_MARK: &str = "-p";

/// Everything that answering needs.
#[derive(Debug)]
pub struct Agent {
    /// The name of the agent.
    pub name: String,
    /// `gpt-4-0314`, for people.
    pub model: String,
    /// How much of the contract is honoured.
    pub level: ContractLevel,
    /// The digest of the loaded bytes; `None` for a plain container.
    pub release: Option<Digest>,
    /// Why this release must not be attested, if so.
    pub unattested: Option<String>,
    /// A deliberate defect.
    pub fault: Option<Fault>,
    /// The model.
    pub player: Player,
    /// Chooses the questions.
    pub seed: u64,
    /// Who is talking.
    pub conversations: Conversations,
    /// Where it is told.
    pub telemetry: Arc<Telemetry>,
    /// The end has been asked for: no new work, please.
    pub draining: AtomicBool,
}

/// How one request names its conversation, before it is known here.
#[derive(Debug)]
pub enum Caller {
    /// No name: a new conversation.
    New,
    /// A name in the body, from the client or handed out earlier.
    Named(String),
    /// A handle that MCP carries: a session id or a `conversation` argument.
    Handle(String),
}

/// The answer, as both doors give it.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The conversation; send it back with the next turn.
    pub conversation_id: String,
    /// From 1.
    pub turn: u32,
    /// Synthetic text of the recorded length.
    pub text: String,
    /// The release that answered, in base32; null for a plain container.
    pub release: Option<String>,
    /// `weighted` or `pinned`, as in the first turn; null where no gateway said so.
    pub assignment: Option<&'static str>,
    /// The model that was replayed.
    pub model: String,
    /// The slice of the session.
    pub dataset: String,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
    /// Tokens out.
    pub output_tokens: u32,
}

/// A turn that cannot be answered.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// The name of the conversation is no name.
    #[error("conversation_id must be 1 to 128 characters out of A-Z a-z 0-9 . _ : -")]
    BadName,
    /// `REPLAY_FAULT=fail-turns`.
    #[error("this agent was told to fail")]
    Fault,
    /// The task that answered was lost.
    #[error("the turn was given up")]
    Lost,
}

impl Agent {
    /// The release in base32, as pins carry it; `None` for a plain container.
    pub fn pin(&self) -> Option<String> {
        self.release.as_ref().map(Digest::base32)
    }

    /// A new handle: `<b32>-<uuid>`, or a bare uuid for a plain container.
    pub fn new_handle(&self, assignment: Option<Assignment>) -> String {
        let unique = Uuid::new_v4();
        let mark = match assignment {
            Some(Assignment::Pinned) => PINNED_MARK,
            Some(Assignment::Weighted) | None => "",
        };
        match self.pin() {
            Some(pin) => format!("{pin}-{unique}{mark}"),
            None => format!("{unique}{mark}"),
        }
    }

    /// Hands out a conversation that has had no turn yet.
    pub fn open(&self, assignment: Option<Assignment>) -> String {
        let handle = self.new_handle(assignment);
        self.conversations.open(&handle, assignment);
        handle
    }

    /// Answers one turn. It is carried through and reported even if the client goes away meanwhile.
    pub async fn answer(self: &Arc<Self>, caller: Caller, received: Option<Assignment>) -> Result<Answer, Refused> {
        if self.fault == Some(Fault::FailTurns) {
            return Err(Refused::Fault);
        }
        let (conversation, naming) = self.name(caller, received)?;
        let agent = Arc::clone(self);
        tokio::spawn(async move { agent.carry_through(conversation, naming, received).await })
            .await
            .map_err(|_| Refused::Lost)
    }

    /// Ends a conversation, if the contract level says that ends are told.
    pub fn end(&self, conversation: &str) {
        self.conversations.end(conversation);
        if self.level == ContractLevel::Complete {
            self.telemetry.session_ended(conversation);
        }
    }

    fn name(&self, caller: Caller, received: Option<Assignment>) -> Result<(String, Naming), Refused> {
        match caller {
            Caller::New => Ok((self.new_handle(received), Naming::Fresh)),
            Caller::Named(name) => checked(name).map(|name| (name, Naming::Given)),
            Caller::Handle(handle) => {
                let naming = self.naming_of(&handle);
                checked(handle).map(|handle| (handle, naming))
            }
        }
    }

    /// A handle of this very release says how it was assigned; one of another release only goes on here.
    fn naming_of(&self, handle: &str) -> Naming {
        let own = self.pin().is_some_and(|pin| handle.strip_prefix(&pin).is_some_and(|rest| rest.starts_with('-')));
        if !own {
            return Naming::Given;
        }
        Naming::Session(Some(if handle.ends_with(PINNED_MARK) { Assignment::Pinned } else { Assignment::Weighted }))
    }

    async fn carry_through(&self, conversation: String, naming: Naming, received: Option<Assignment>) -> Answer {
        let began = SystemTime::now();
        let turn = self.conversations.begin_turn(&conversation, naming, received);
        let outcome = self.player.outcome(self.seed, &conversation, turn.number);
        if turn.starts {
            self.telemetry.session_started(&conversation, turn.assignment, &outcome.dataset);
        }
        tokio::time::sleep(outcome.latency).await;
        self.report(&conversation, began, &outcome);
        Answer {
            text: text_of(outcome.chars),
            release: self.pin(),
            assignment: turn.assignment.map(Assignment::word),
            model: self.model.clone(),
            finish_reason: if outcome.truncated { "length" } else { "stop" },
            output_tokens: outcome.output_tokens,
            turn: turn.number,
            dataset: outcome.dataset,
            conversation_id: conversation,
        }
    }

    fn report(&self, conversation: &str, began: SystemTime, outcome: &Outcome) {
        let response_id = Uuid::new_v4().to_string();
        let report =
            TurnReport { conversation, response_id: &response_id, began, answered: SystemTime::now(), outcome };
        self.telemetry.turn_answered(&report);
        match outcome.task_success {
            Some(success) if self.fault != Some(Fault::NoEvaluations) => {
                self.telemetry.session_evaluated(&report, success);
            }
            Some(_) | None => {}
        }
    }

    /// Whether readiness may be reported for `pin`, and if not, why not.
    pub fn attest(&self, pin: &str) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("the agent is ending".to_owned());
        }
        if self.fault == Some(Fault::NotReady) {
            return Err("this agent was told never to be ready".to_owned());
        }
        if let Some(reason) = &self.unattested {
            return Err(reason.clone());
        }
        match self.pin() {
            Some(own) if own == pin => Ok(()),
            Some(_) => Err("other bytes were loaded than those asked for".to_owned()),
            None => Err("no release is mounted".to_owned()),
        }
    }
}

fn checked(name: String) -> Result<String, Refused> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(plain) {
        return Err(Refused::BadName);
    }
    Ok(name)
}

/// Filler of exactly `chars` characters: the recorded texts were not published with the table.
fn text_of(chars: usize) -> String {
    "Synthetic text of the recorded length. ".chars().cycle().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_exactly_the_recorded_length() {
        for chars in [0, 1, 39, 40, 3_205] {
            assert_eq!(text_of(chars).chars().count(), chars);
        }
    }

    #[test]
    fn a_name_that_could_break_a_header_is_refused() {
        for name in ["", "a b", "a\nb", "ü", &"x".repeat(129)] {
            assert_eq!(checked(name.to_owned()), Err(Refused::BadName), "{name:?}");
        }
        assert!(checked("s1-42".to_owned()).is_ok());
    }
}
