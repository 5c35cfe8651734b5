//! `rollpin list`: every release of a namespace, or of all.

use crate::args::{Get, Global, List};
use crate::cmd::get;
use crate::failure::{Exit, Failure};

/// The same as `get` without a name.
pub async fn run(global: &Global, it: &List) -> Result<Exit, Failure> {
    get::run(global, &Get { name: None, all_namespaces: it.all_namespaces, watch: false }).await
}
