//! `rollpin completion`: a script for a shell, from the definition of the command line.

use crate::args::{self, Completion};
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints the script.
pub fn run(it: &Completion) -> Result<Exit, Failure> {
    let mut script = vec![];
    clap_complete::generate(it.shell, &mut args::command(false), "rollpin", &mut script);
    output::say(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
