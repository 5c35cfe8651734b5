//! Every decision of rollpin, as pure functions: from what was seen to what must be.
//!
//! `validate` turns what users wrote into a `Policy`, `digest` names a release by its content, `evidence` folds sessions
//! into counters, `stats` turns counters into e-values, `gate` turns those into verdicts, `decide` turns everything that
//! was `Observed` into a `Decision`, `plan` says what the cluster must then look like, and `render` says it all in words.
//!
//! No I/O, no clock, no randomness: `clippy.toml` beside this crate refuses them.

pub mod decide;
pub mod digest;
pub mod evidence;
pub mod gate;
pub mod hash;
pub mod observed;
pub mod phase;
pub mod plan;
pub mod policy;
pub mod preflight;
pub mod record;
pub mod render;
pub mod stats;
pub mod validate;
