//! The vectors of one gate: the tests of `stats` behind one type that can be stored.

use serde::{Deserialize, Serialize};

/// The vectors of one gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateProcess {}
