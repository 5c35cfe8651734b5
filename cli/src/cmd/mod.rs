//! One file per verb. A verb turns arguments and objects into text and an exit code; it decides nothing about a rollout.

pub mod abort;
pub mod change;
pub mod completion;
pub mod digest;
pub mod explain;
pub mod get;
pub mod history;
pub mod lint;
pub mod list;
pub mod pause;
pub mod promote;
pub mod replay;
pub mod resume;
pub mod retry;
pub mod rollback;
pub mod status;
pub mod version;
