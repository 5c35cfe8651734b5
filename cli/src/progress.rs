//! Says on standard error what is being waited for, once it takes longer than a second.
//!
//! A spinner on a terminal; elsewhere one plain line, then another whenever the text changes.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Nothing is shown before this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that is being waited for.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    began: Instant,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    /// Begins to wait.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), began: Instant::now(), state: RefCell::default() }
    }

    /// Says what is being waited for; call it at least once a second.
    pub fn tell(&self, text: &str) {
        if self.quiet || self.began.elapsed() < PATIENCE {
            return;
        }
        let mut state = self.state.borrow_mut();
        if self.terminal {
            let bar = state.bar.get_or_insert_with(spinner);
            bar.set_message(text.to_owned());
        } else if state.last != text {
            output::remark(&format!("... {text}"));
        }
        text.clone_into(&mut state.last);
    }

    /// Runs a future and says `text` while it takes longer than a second.
    pub async fn during<T>(&self, text: &str, future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        loop {
            tokio::select! {
                done = &mut future => return done,
                () = tokio::time::sleep(PATIENCE) => self.tell(text),
            }
        }
    }

    /// Takes the spinner away, so that text can be printed.
    pub fn clear(&self) {
        if let Some(bar) = self.state.borrow_mut().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
