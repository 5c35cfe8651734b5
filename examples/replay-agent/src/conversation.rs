//! Remembers conversations: how each was assigned, and how far it has got in this process.
//! The memory is bounded and holds no text; a conversation that was forgotten, or that began in another process, goes on.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::outcome::JUDGED_TURN;

/// How the gateway brought the conversation here: the received `x-agent-assignment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// By the weighted rule: this is a randomised session.
    Weighted,
    /// By a pin that the client already carried.
    Pinned,
}

impl Assignment {
    /// `None` for anything but the two words that the gateway sets, and for no header at all.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "weighted" => Some(Self::Weighted),
            "pinned" => Some(Self::Pinned),
            _ => None,
        }
    }

    /// The word, as in the header and in telemetry.
    pub fn word(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::Pinned => "pinned",
        }
    }
}

/// How a request names its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The agent just made the name: nobody can have used it before.
    Fresh,
    /// The client sent the name.
    Given,
    /// The client sent an MCP session that a process of this release handed out, and which had no turn by then.
    Session(Option<Assignment>),
}

/// A turn that is about to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From 1, as far as this process knows.
    pub number: u32,
    /// How the conversation came here in its first turn.
    pub assignment: Option<Assignment>,
    /// The session starts with this turn, as far as this process can tell.
    pub starts: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    assignment: Option<Assignment>,
    turns: u32,
}

#[derive(Debug, Default)]
struct Memory {
    known: HashMap<String, Known>,
    oldest_first: VecDeque<String>,
}

/// Every conversation that this process has seen, up to a limit.
#[derive(Debug)]
pub struct Conversations {
    memory: Mutex<Memory>,
    limit: usize,
}

impl Conversations {
    /// Remembers at most `limit` conversations; the oldest are forgotten first.
    pub fn new(limit: usize) -> Self {
        Self { memory: Mutex::default(), limit }
    }

    /// Notes a conversation that was handed out and has had no turn yet.
    pub fn open(&self, id: &str, assignment: Option<Assignment>) {
        self.with(|memory, limit| {
            memory.insert(id, Known { assignment, turns: 0 }, limit);
        });
    }

    /// Begins the next turn. `received` is the assignment of this very request.
    pub fn begin_turn(&self, id: &str, naming: Naming, received: Option<Assignment>) -> Turn {
        self.with(|memory, limit| {
            if let Some(known) = memory.known.get_mut(id) {
                known.turns = known.turns.saturating_add(1);
                return Turn { number: known.turns, assignment: known.assignment, starts: known.turns == JUDGED_TURN };
            }
            let turn = first_sight(naming, received);
            let known = Known { assignment: turn.assignment, turns: turn.number };
            memory.insert(id, known, limit);
            turn
        })
    }

    /// Ends a conversation; `false` if this process did not know it.
    pub fn end(&self, id: &str) -> bool {
        self.with(|memory, _| memory.known.remove(id).is_some())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory, usize) -> T) -> T {
        // Nothing panics while the lock is held, so a poisoned memory is whole.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut memory, self.limit)
    }
}

impl Memory {
    fn insert(&mut self, id: &str, known: Known, limit: usize) {
        if self.known.insert(id.to_owned(), known).is_none() {
            self.oldest_first.push_back(id.to_owned());
        }
        while self.oldest_first.len() > limit {
            if let Some(oldest) = self.oldest_first.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

/// A name that this process has not seen. A pinned one began in another process (a replica, or a release that was
/// withdrawn since), where it was counted: here it only goes on. An assigned one begins here, even if a client that
/// echoes no pin began it elsewhere: rollpin must see such a session on both releases, not on one.
fn first_sight(naming: Naming, received: Option<Assignment>) -> Turn {
    let begun = |assignment| Turn { number: JUDGED_TURN, assignment, starts: true };
    match (naming, received) {
        (Naming::Session(remembered), _) => begun(remembered),
        (Naming::Given, Some(Assignment::Pinned)) => {
            Turn { number: JUDGED_TURN + 1, assignment: received, starts: false }
        }
        (Naming::Fresh, _) | (Naming::Given, Some(Assignment::Weighted) | None) => begun(received),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTED: Option<Assignment> = Some(Assignment::Weighted);
    const PINNED: Option<Assignment> = Some(Assignment::Pinned);

    #[test]
    fn a_follow_up_keeps_the_assignment_of_the_first_turn() {
        let conversations = Conversations::new(10);
        let first = conversations.begin_turn("a", Naming::Fresh, WEIGHTED);
        let second = conversations.begin_turn("a", Naming::Given, PINNED);
        assert!(first.starts && !second.starts);
        assert_eq!((second.number, second.assignment), (2, WEIGHTED));
    }

    #[test]
    fn a_handle_that_was_opened_starts_with_its_first_turn() {
        let conversations = Conversations::new(10);
        conversations.open("a", WEIGHTED);
        let first = conversations.begin_turn("a", Naming::Given, PINNED);
        assert!(first.starts);
        assert_eq!((first.number, first.assignment), (1, WEIGHTED));
    }

    #[test]
    fn a_pinned_follow_up_from_another_process_is_no_new_session() {
        let turn = Conversations::new(10).begin_turn("a", Naming::Given, PINNED);
        assert!(!turn.starts && turn.number == 2);
    }

    #[test]
    fn a_client_without_echo_is_seen_to_start_here_too() {
        assert!(Conversations::new(10).begin_turn("a", Naming::Given, WEIGHTED).starts);
    }

    #[test]
    fn a_client_that_picked_its_release_starts_as_pinned() {
        let turn = Conversations::new(10).begin_turn("a", Naming::Fresh, PINNED);
        assert!(turn.starts && turn.assignment == PINNED);
    }

    #[test]
    fn a_session_opened_by_another_replica_keeps_its_assignment() {
        let turn = Conversations::new(10).begin_turn("a", Naming::Session(WEIGHTED), PINNED);
        assert!(turn.starts && turn.assignment == WEIGHTED);
    }

    #[test]
    fn the_memory_stays_within_its_limit() {
        let conversations = Conversations::new(2);
        for id in ["a", "b", "c"] {
            conversations.begin_turn(id, Naming::Fresh, WEIGHTED);
        }
        assert_eq!(conversations.memory.lock().unwrap().known.len(), 2);
        assert!(!conversations.end("a") && conversations.end("c"));
    }
}
