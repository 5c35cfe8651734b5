//! One session: turns in a row, each with the pin that the agent gave last. Notices when another release answers.
//! Decides neither when a session begins nor when the run ends.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use reqwest::header::HOST;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    args::Args,
    tally::{Answered, Micros, Move, Tally},
};

/// The header that carries the pin both ways.
const PIN: &str = "x-agent-release";

/// What all sessions share.
#[derive(Debug)]
pub struct Run {
    /// The command line.
    pub args: Args,
    /// The HTTP client, with its pool of connections.
    pub client: reqwest::Client,
    tally: Mutex<Tally>,
}

/// Why a turn had no answer.
#[derive(Debug, Error)]
pub enum TurnError {
    /// No connection, or none in time, or one that broke.
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    /// An answer that is none.
    #[error("status {0}")]
    Status(u16),
}

impl TurnError {
    /// A short word for the report.
    pub fn kind(&self) -> String {
        match self {
            Self::Status(code) => format!("status_{code}"),
            Self::Request(error) if error.is_timeout() => "timeout".to_owned(),
            Self::Request(error) if error.is_connect() => "connect".to_owned(),
            Self::Request(error) if error.is_decode() => "body".to_owned(),
            Self::Request(_) => "request".to_owned(),
        }
    }
}

#[derive(Serialize)]
struct TurnBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    text: &'a str,
}

/// What is read of an answer; an agent may say more.
#[derive(Debug, Deserialize)]
struct AnswerBody {
    conversation_id: String,
    release: Option<String>,
    assignment: Option<String>,
    #[serde(default)]
    model: String,
}

/// A conversation, from this side.
#[derive(Debug)]
pub struct Session {
    conversation: Option<String>,
    pin: Option<String>,
    began_on: Option<String>,
    answered_by: Option<(String, Micros)>,
    has_moved: bool,
}

impl Run {
    /// A run that has counted nothing yet.
    pub fn new(args: Args, client: reqwest::Client) -> Arc<Self> {
        Arc::new(Self { args, client, tally: Mutex::default() })
    }

    /// Changes or reads the counts.
    pub fn tally<T>(&self, act: impl FnOnce(&mut Tally) -> T) -> T {
        // Nothing panics while the lock is held, so a poisoned tally is whole.
        act(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Session {
    /// The `number`th session of the run.
    pub fn new(args: &Args, number: u64) -> Self {
        Self {
            conversation: args.seed.map(|seed| format!("s{seed}-{number}")),
            pin: args.pin.clone(),
            began_on: None,
            answered_by: None,
            has_moved: false,
        }
    }

    /// The release of the first answer.
    pub fn began_on(&self) -> Option<&str> {
        self.began_on.as_deref()
    }

    /// One turn; counts its answer or its error.
    pub async fn turn(&mut self, run: &Run) -> Result<(), TurnError> {
        let pinned = self.pin.is_some();
        let sent = now();
        match self.ask(run).await {
            Ok(body) => {
                self.note(run, body, pinned, sent, now());
                Ok(())
            }
            Err(error) => {
                run.tally(|tally| tally.error(&error.kind()));
                Err(error)
            }
        }
    }

    async fn ask(&self, run: &Run) -> Result<AnswerBody, TurnError> {
        let mut request = run
            .client
            .post(&run.args.url)
            .json(&TurnBody { conversation_id: self.conversation.as_deref(), text: "Is this number prime?" });
        if let Some(host) = &run.args.host {
            request = request.header(HOST, host);
        }
        if let Some(pin) = &self.pin {
            request = request.header(PIN, pin);
        }
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(TurnError::Status(response.status().as_u16()));
        }
        Ok(response.json().await?)
    }

    fn note(&mut self, run: &Run, body: AnswerBody, pinned: bool, sent: Micros, answered: Micros) {
        let release = body.release.clone().unwrap_or_else(|| "none".to_owned());
        let first = self.began_on.is_none();
        let seen = Answered { release: release.clone(), model: body.model, pinned, first, sent, arrived: answered };
        run.tally(|tally| {
            tally.answered(&seen);
            if first {
                let word = body.assignment.as_deref().unwrap_or("none").to_owned();
                *tally.assignments.entry(word).or_default() += 1;
            } else {
                tally.followed_up(self.began_on.as_ref() == Some(&release));
            }
            if let Some(change) = self.move_to(&release, &body.conversation_id, answered) {
                tally.moved(change, !self.has_moved);
                self.has_moved = true;
            }
        });
        if !run.args.no_echo {
            self.pin = body.release;
        }
        self.began_on.get_or_insert_with(|| release.clone());
        self.conversation = Some(body.conversation_id);
        self.answered_by = Some((release, answered));
    }

    fn move_to(&self, release: &str, conversation: &str, answered: Micros) -> Option<Move> {
        let (from, last) = self.answered_by.as_ref()?;
        (from != release).then(|| Move {
            conversation: conversation.to_owned(),
            from: from.clone(),
            to: release.to_owned(),
            last_from_us: *last,
            first_to_us: answered,
        })
    }
}

/// The moment, for comparison with other clocks of the same machine.
pub fn now() -> Micros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| Micros::try_from(elapsed.as_micros()).ok())
        .unwrap_or_default()
}
