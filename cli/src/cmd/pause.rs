//! `rollpin pause`: keep the canary at its weight.

use rollpin_crds::Verb;

use crate::args::{Global, Simple};
use crate::cmd::change::{self, Intent};
use crate::failure::{Exit, Failure};

/// Means the release on trial.
pub async fn run(global: &Global, it: &Simple) -> Result<Exit, Failure> {
    change::run(global, &it.change, |release| {
        Ok(Intent::new(Verb::Pause, &change::canary(release, "pause")?.trial.digest))
    })
    .await
}
