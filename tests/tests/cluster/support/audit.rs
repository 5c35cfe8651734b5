//! Who asked the API server for what, from its audit log: the only witness that counts calls that changed nothing, too.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

use super::{operator_user, setting};

/// One request, once it was answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub stage: String,
    pub verb: String,
    #[serde(rename = "requestURI")]
    pub uri: String,
    pub user: User,
    #[serde(default)]
    pub object_ref: ObjectRef,
    #[serde(default)]
    pub response_status: ResponseStatus,
    pub stage_timestamp: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ObjectRef {
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus {
    pub code: u16,
}

impl Request {
    /// It changed something.
    pub fn is_write(&self) -> bool {
        let changing = ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str());
        changing && (200..300).contains(&self.response_status.code) && !self.uri.contains("dryRun=All")
    }

    /// The status of an object of this plural name.
    pub fn is_status_of(&self, resource: &str) -> bool {
        self.object_ref.resource == resource && self.object_ref.subresource == "status"
    }

    /// An object of this plural name itself.
    pub fn is_of(&self, resource: &str) -> bool {
        self.object_ref.resource == resource && self.object_ref.subresource.is_empty()
    }

    /// One line.
    pub fn line(&self) -> String {
        format!("{} {} {} {}", self.stage_timestamp, self.verb, self.uri, self.response_status.code)
    }
}

/// Requests of the operator that were answered (for a watch: begun) in this span, in order of their answers.
pub fn of_operator(from: Timestamp, to: Timestamp) -> Vec<Request> {
    let user = operator_user();
    let mut requests: Vec<Request> = vec![];
    for file in files() {
        let text = std::fs::read(&file).unwrap();
        for line in String::from_utf8_lossy(&text).lines().filter(|line| line.contains(&user)) {
            // The last line may be half written.
            let Ok(request) = serde_json::from_str::<Request>(line) else { continue };
            let answered = if request.verb == "watch" {
                request.stage == "ResponseStarted"
            } else {
                request.stage == "ResponseComplete"
            };
            if answered && request.user.username.starts_with(&user) && (from..=to).contains(&request.stage_timestamp) {
                requests.push(request);
            }
        }
    }
    requests.sort_by_key(|request| request.stage_timestamp);
    requests
}

/// What the operator changed in a namespace in this span.
pub fn writes_in(namespace: &str, from: Timestamp, to: Timestamp) -> Vec<Request> {
    let mut requests = of_operator(from, to);
    requests.retain(|request| request.object_ref.namespace == namespace && request.is_write());
    requests
}

/// The log and what was rotated away.
fn files() -> Vec<PathBuf> {
    let logs = PathBuf::from(setting("ROLLPIN_CLUSTER_STATE")).join("logs");
    let entries = std::fs::read_dir(&logs).unwrap_or_else(|cause| panic!("{}: {cause}", logs.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit")));
    files
}
