//! `rollpin promote`: a named person takes the next step, or all of them, without waiting for evidence.

use rollpin_crds::Verb;

use crate::args::{Global, Promote};
use crate::cmd::change::{self, Intent};
use crate::failure::{Exit, Failure};

/// Means the release on trial.
pub async fn run(global: &Global, it: &Promote) -> Result<Exit, Failure> {
    change::run(global, &it.change, |release| {
        let trial = &change::canary(release, "promote")?.trial;
        Ok(Intent { full: it.full, no_bake_rollback: it.no_bake_rollback, ..Intent::new(Verb::Promote, &trial.digest) })
    })
    .await
}
