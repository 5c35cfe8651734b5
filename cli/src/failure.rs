//! What can go wrong, in words for people, and the exit codes for scripts.
//!
//! Every message says what failed, on which object, and what to do. No message carries a Secret's bytes.

use std::process::ExitCode;

use thiserror::Error;

/// How a verb ended. The numbers are an interface: scripts compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Ok,
    /// 1: it failed, or a comparison found a difference.
    Failed,
    /// 2: the command line or a reference in it is wrong.
    Usage,
    /// 3: the release was taken back.
    RolledBack,
    /// 4: the time was up.
    Timeout,
    /// 5: the evidence did not suffice.
    Inconclusive,
    /// 6: the state is not the one that was meant; somebody else moved first.
    Precondition,
    /// 7: the API server does not allow it.
    Forbidden,
    /// 130: Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::Timeout => 4,
            Self::Inconclusive => 5,
            Self::Precondition => 6,
            Self::Forbidden => 7,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb could not do its work.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line is wrong in a way that only shows later.
    #[error("{0}")]
    Usage(String),
    /// No such object.
    #[error("{kind} \"{name}\" not found in namespace \"{namespace}\"; {hint}")]
    NotFound {
        /// Lower-case kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// What to do.
        hint: String,
    },
    /// The operator's kinds are not installed.
    #[error("this cluster does not know {0}: install the chart rollpin-crds, or choose another cluster with --context")]
    NotInstalled(&'static str),
    /// The release is not in the state that the command needs.
    #[error("{0}")]
    Precondition(String),
    /// The API server says no.
    #[error("not allowed to {action}: {message}; ask for the role that grants it")]
    Forbidden {
        /// What was tried.
        action: String,
        /// The API server's words.
        message: String,
    },
    /// The API server refuses the content.
    #[error("the API server refused to {action}: {message}")]
    Refused {
        /// What was tried.
        action: String,
        /// The API server's words.
        message: String,
    },
    /// The API server cannot be reached.
    #[error("failed to {action}: {cause}; check the kubeconfig, --context and the network")]
    Unreachable {
        /// What was tried.
        action: String,
        /// Why.
        cause: String,
    },
    /// The kubeconfig cannot be used.
    #[error("failed to read the kubeconfig: {0}; set KUBECONFIG, --kubeconfig or --context")]
    Kubeconfig(String),
    /// The time was up.
    #[error("{0}")]
    Timeout(String),
    /// A file cannot be read.
    #[error("failed to read {path}: {cause}")]
    ReadFile {
        /// The file, or `standard input`.
        path: String,
        /// Why.
        cause: String,
    },
    /// A file is not what it should be.
    #[error("{0}")]
    Content(String),
    /// A result cannot be printed.
    #[error("failed to print the result: {0}")]
    Print(String),
    /// Nobody reads the output any more; not an error.
    #[error("the output was closed")]
    OutputClosed,
    /// The runtime did not start.
    #[error("failed to start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Precondition(_) => Exit::Precondition,
            Self::Forbidden { .. } => Exit::Forbidden,
            Self::Timeout(_) => Exit::Timeout,
            Self::OutputClosed => Exit::Ok,
            Self::NotFound { .. }
            | Self::NotInstalled(_)
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Kubeconfig(_)
            | Self::ReadFile { .. }
            | Self::Content(_)
            | Self::Print(_)
            | Self::Runtime(_) => Exit::Failed,
        }
    }
}
