//! The verbs that talk to a cluster, as the real program against a scripted API server: what they send, say and return.
//!
//! The server answers what a test scripted and nothing else; the real API server is the end-to-end tests' business.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed, helpers included

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

const RELEASES: &str = "/apis/rollpin.dev/v1alpha1/namespaces/agents/agentreleases";
const COMMANDS: &str = "/apis/rollpin.dev/v1alpha1/namespaces/agents/releasecommands";
const RECORDS: &str = "/apis/rollpin.dev/v1alpha1/namespaces/agents/decisionrecords";
const REVISIONS: &str = "/apis/rollpin.dev/v1alpha1/namespaces/agents/agentrevisions";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const TRIAL: &str = "sha256:1e5eecca759e06b8b5579d8373b3d9a8e51ae465cba2343478d291d2312076d5";

/// A scripted API server: `METHOD path`, and `WATCH path` for watches, to a status and a body.
#[derive(Default)]
struct Server {
    script: HashMap<String, (u16, Value)>,
}

/// What a program did.
struct Run {
    exit: i32,
    out: String,
    err: String,
    sent: Vec<(String, Value)>,
}

impl Server {
    fn on(mut self, request: &str, status: u16, body: Value) -> Self {
        self.script.insert(request.to_owned(), (status, body));
        self
    }

    /// A server with the release `support`, somebody who asks, and a command that is created and then has this status.
    fn with_command(release: &Value, status: &Value) -> Self {
        let command = |status: Option<&Value>| {
            let mut made = json!({"apiVersion": "rollpin.dev/v1alpha1", "kind": "ReleaseCommand",
                "metadata": {"name": "support-x-1", "namespace": "agents", "uid": "c-1", "resourceVersion": "5"},
                "spec": {"release": "support", "verb": "Promote", "digest": TRIAL, "reason": "", "requestedBy": "ada"}});
            if let Some(status) = status {
                made["status"] = status.clone();
            }
            made
        };
        Self::default()
            .on(&format!("GET {RELEASES}/support"), 200, release.clone())
            .on(&format!("POST {WHOAMI}"), 201, json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}, "status": {"userInfo": {"username": "ada"}}}))
            .on(&format!("POST {COMMANDS}"), 201, command(None))
            .on(&format!("GET {COMMANDS}"), 200, list("ReleaseCommandList", &[command(None)]))
            .on(&format!("WATCH {COMMANDS}"), 200, json!({"type": "MODIFIED", "object": command(Some(status))}))
    }

    /// Runs the program against this server.
    fn run(self, arguments: &[&str]) -> Run {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (script, log) = (Arc::new(self.script), Arc::clone(&sent));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &script, &log));
            }
        });
        let kubeconfig = kubeconfig(&address.to_string());
        let output = Command::new(env!("CARGO_BIN_EXE_rollpin"))
            .args(["--kubeconfig"])
            .arg(&kubeconfig)
            .args(arguments)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        std::fs::remove_file(kubeconfig).unwrap();
        let sent = sent.lock().unwrap().clone();
        Run {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            sent,
        }
    }
}

fn kubeconfig(address: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kubeconfig-{}", address.replace(':', "-")));
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {"token": "s3cret-t0ken"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "agents"}}]});
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// One request, one answer, one connection.
fn serve(mut stream: TcpStream, script: &HashMap<String, (u16, Value)>, log: &Mutex<Vec<(String, Value)>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = if query.contains("watch=true") { "WATCH" } else { method };
    let request = format!("{method} {path}");
    log.lock().unwrap().push((request.clone(), serde_json::from_slice(&body).unwrap_or_default()));
    let (status, answer) =
        script.get(&request).cloned().unwrap_or_else(|| (404, failure(404, "NotFound", "not found")));
    if method == "WATCH" && status == 200 {
        let _ =
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{answer}\n");
        std::thread::sleep(std::time::Duration::from_secs(20));
    } else {
        let text = answer.to_string();
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
    }
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({"apiVersion": "rollpin.dev/v1alpha1", "kind": kind, "metadata": {"resourceVersion": "4"}, "items": items})
}

fn on_trial() -> Value {
    serde_json::from_str(include_str!("data/on-trial.json")).unwrap()
}

fn rolled_back() -> Value {
    serde_json::from_str(include_str!("data/rolled-back.json")).unwrap()
}

/// The command that was created.
fn created(run: &Run) -> &Value {
    let found = run.sent.iter().find(|(request, _)| *request == format!("POST {COMMANDS}"));
    &found.unwrap_or_else(|| panic!("no command was created\n{}\n{:?}", run.err, run.sent)).1
}

#[test]
fn promote_names_the_digest_on_trial_and_who_asks_and_prints_the_result() {
    let done = json!({"result": "Done", "message": "promoted to 25 %"});
    let run = Server::with_command(&on_trial(), &done).run(&["promote", "support", "--full", "-m", "the suite passed"]);
    assert_eq!((run.exit, run.out.as_str()), (0, "promoted to 25 %\n"), "{}", run.err);
    let command = created(&run);
    assert_eq!(
        command["spec"],
        json!({"release": "support", "verb": "Promote", "digest": TRIAL, "reason": "the suite passed", "requestedBy": "ada", "full": true})
    );
    assert_eq!(command["metadata"]["generateName"], "support-promote-");
}

#[test]
fn a_refused_command_ends_with_6_and_the_operators_words() {
    let refused = json!({"result": "Refused", "message": "dzpozs is no longer on trial: it was taken back 3 s ago"});
    let run = Server::with_command(&on_trial(), &refused).run(&["abort", "support"]);
    assert_eq!(run.exit, 6);
    assert_eq!(run.err, "error: refused: dzpozs is no longer on trial: it was taken back 3 s ago\n");
    assert_eq!(run.out, "");
}

#[test]
fn each_changing_verb_means_its_digest() {
    let serving = on_trial()["status"]["serving"]["digest"].clone();
    let done = json!({"result": "Done", "message": "done"});
    let cases: [(&[&str], &str, Value, Value); 5] = [
        (&["pause", "support"], "Pause", on_trial(), json!(TRIAL)),
        (&["resume", "support"], "Resume", on_trial(), json!(TRIAL)),
        (&["abort", "support"], "Abort", on_trial(), json!(TRIAL)),
        (&["rollback", "support"], "Rollback", rolled_back(), serving),
        (&["retry", "support", "--digest", "dzpozs", "-m", "judge fixed"], "Retry", rolled_back(), json!(TRIAL)),
    ];
    for (arguments, verb, release, digest) in cases {
        let run = Server::with_command(&release, &done).run(arguments);
        assert_eq!(run.exit, 0, "{arguments:?}: {}", run.err);
        assert_eq!(
            (&created(&run)["spec"]["verb"], &created(&run)["spec"]["digest"]),
            (&json!(verb), &digest),
            "{arguments:?}"
        );
    }
}

#[test]
fn rollback_finds_a_revision_by_the_beginning_of_its_digest() {
    let revision = json!({"apiVersion": "rollpin.dev/v1alpha1", "kind": "AgentRevision", "metadata": {"name": "support-dzpozstvtydl", "namespace": "agents"},
        "spec": {"agent": "support", "digest": TRIAL, "behaviorDigest": TRIAL, "digestVersion": 1, "manifest": "", "components": [], "template": "", "contractLevel": 1, "port": 8080}});
    let server = Server::with_command(&rolled_back(), &json!({"result": "Done", "message": "done"}));
    let run = server.on(&format!("GET {REVISIONS}"), 200, list("AgentRevisionList", &[revision])).run(&[
        "rollback",
        "support",
        "--to-revision",
        "dzpozs",
    ]);
    assert_eq!(run.exit, 0, "{}", run.err);
    assert_eq!(created(&run)["spec"]["toRevision"], "support-dzpozstvtydl");
}

#[test]
fn a_verb_about_a_canary_without_a_canary_sends_nothing_and_ends_with_6() {
    let run = Server::with_command(&rolled_back(), &json!({})).run(&["promote", "support"]);
    assert_eq!(run.exit, 6);
    assert!(run.err.contains("nothing of \"support\" is on trial"), "{}", run.err);
    assert!(!run.sent.iter().any(|(request, _)| request.starts_with("POST")), "{:?}", run.sent);
}

#[test]
fn what_the_api_server_forbids_ends_with_7() {
    let message = "releasecommands.rollpin.dev is forbidden: User \"ada\" cannot create resource \"releasecommands\"";
    let server = Server::with_command(&on_trial(), &json!({})).on(
        &format!("POST {COMMANDS}"),
        403,
        failure(403, "Forbidden", message),
    );
    let run = server.run(&["pause", "support"]);
    assert_eq!(run.exit, 7, "{}", run.err);
    assert!(run.err.contains(message), "{}", run.err);
}

#[test]
fn no_answer_in_time_ends_with_4_and_names_the_open_command() {
    let run = Server::with_command(&on_trial(), &json!({})).run(&["pause", "support", "--timeout", "2s"]);
    assert_eq!(run.exit, 4, "{}", run.err);
    assert!(run.err.contains("... pause of support (dzpozs): the operator has not answered yet"), "{}", run.err);
    assert!(run.err.contains("no answer to releasecommand \"support-x-1\" within 2 s"), "{}", run.err);
}

#[test]
fn without_waiting_the_command_is_only_created() {
    let run = Server::with_command(&on_trial(), &json!({})).run(&["pause", "support", "--timeout", "0", "-o", "name"]);
    assert_eq!((run.exit, run.out.as_str()), (0, "releasecommand.rollpin.dev/support-x-1\n"), "{}", run.err);
}

#[test]
fn a_release_that_is_not_there_is_said_to_be_so() {
    let server = Server::default().on(&format!("GET {RELEASES}"), 200, list("AgentReleaseList", &[]));
    let run = server.run(&["explain", "support"]);
    assert_eq!(run.exit, 1);
    assert_eq!(
        run.err,
        "error: agentrelease \"support\" not found in namespace \"agents\"; `rollpin list -A` shows what there is\n"
    );
}

#[test]
fn a_cluster_without_rollpin_is_said_to_be_one() {
    let run = Server::default().run(&["get"]);
    assert_eq!(run.exit, 1);
    assert!(run.err.contains("install the chart rollpin-crds"), "{}", run.err);
}

#[test]
fn get_prints_the_table_the_name_or_the_object() {
    let server = || Server::default().on(&format!("GET {RELEASES}"), 200, list("AgentReleaseList", &[rolled_back()]));
    let run = server().run(&["get"]);
    assert_eq!(run.exit, 0, "{}", run.err);
    assert!(run.out.starts_with("NAME      PHASE        SERVING   DESIRED"), "{}", run.out);
    assert_eq!(server().run(&["list", "-o", "name"]).out, "agentrelease.rollpin.dev/support\n");
    let json: Value = serde_json::from_str(&server().run(&["get", "-o", "json"]).out).unwrap();
    assert_eq!(json["items"][0]["status"]["phase"], "RolledBack");
}

#[test]
fn status_of_a_release_that_was_taken_back_ends_with_3_at_once() {
    let server = Server::default().on(&format!("GET {RELEASES}/support"), 200, rolled_back()).on(
        &format!("GET {RELEASES}"),
        200,
        list("AgentReleaseList", &[rolled_back()]),
    );
    let run = server.run(&["status", "support"]);
    assert_eq!(run.exit, 3, "{}", run.err);
    assert!(run.out.starts_with("RolledBack: "), "{}", run.out);
}

#[test]
fn status_waits_through_a_canary_and_sees_it_taken_back() {
    let server = Server::default()
        .on(&format!("GET {RELEASES}/support"), 200, on_trial())
        .on(&format!("GET {RELEASES}"), 200, list("AgentReleaseList", &[on_trial()]))
        .on(&format!("WATCH {RELEASES}"), 200, json!({"type": "MODIFIED", "object": rolled_back()}));
    let run = server.run(&["status", "support", "--watch", "--timeout", "20s"]);
    assert_eq!(run.exit, 3, "{}", run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].starts_with("Progressing: ") && lines[1].starts_with("RolledBack: "), "{}", run.out);
}

#[test]
fn status_of_a_canary_ends_with_4_when_the_time_is_up() {
    let server = || {
        Server::default()
            .on(&format!("GET {RELEASES}/support"), 200, on_trial())
            .on(&format!("GET {RELEASES}"), 200, list("AgentReleaseList", &[on_trial()]))
            .on(&format!("WATCH {RELEASES}"), 200, json!({"type": "MODIFIED", "object": on_trial()}))
    };
    assert_eq!(server().run(&["status", "support", "--timeout", "0"]).exit, 4);
    assert_eq!(server().run(&["status", "support", "--timeout", "1s"]).exit, 4);
}

#[test]
fn a_history_without_its_records_is_said_to_be_broken() {
    let server = Server::default().on(&format!("GET {RELEASES}/support"), 200, rolled_back()).on(
        &format!("GET {RECORDS}"),
        200,
        list("DecisionRecordList", &[]),
    );
    let run = server.run(&["history", "support"]);
    assert_eq!(run.exit, 1);
    assert_eq!(run.err, "the chain is broken: the status speaks of 4 records and there are none\n");
}

#[test]
fn a_server_that_is_away_is_an_error_without_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let path = kubeconfig(&address);
    let output =
        Command::new(env!("CARGO_BIN_EXE_rollpin")).arg("--kubeconfig").arg(&path).arg("get").output().unwrap();
    std::fs::remove_file(path).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err.starts_with("error: failed to list agentreleases: "), "{err}");
    assert!(!err.contains("s3cret"), "{err}");
}
