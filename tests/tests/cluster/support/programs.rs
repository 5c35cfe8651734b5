//! The real programs: kubectl, the rollpin command line, curl, the MCP clients. Runs them and keeps what they said.
//!
//! It interprets no output; every call is bounded by the program's own timeout or by the test's.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Scene, repository, setting};

/// What a program said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Standard output, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == 0, "exit code {}: {}", self.code, self.all());
        self.out
    }
}

/// Runs a command to its end, with this standard input.
pub fn run(command: &mut Command, input: &str) -> Output {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|cause| panic!("{name}: {cause}"));
    let mut pipe = child.stdin.take().unwrap();
    let text = input.to_owned();
    // A program that does not read its input closes the pipe; its exit code says enough.
    let feeder = std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// kubectl, as the administrator.
pub fn kubectl(arguments: &[&str]) -> Output {
    kubectl_with(arguments, "")
}

/// kubectl with standard input.
pub fn kubectl_with(arguments: &[&str], input: &str) -> Output {
    run(Command::new("kubectl").args(arguments), input)
}

/// The rollpin command line, without a namespace or cluster of its own.
pub fn rollpin(arguments: &[&str], input: &str) -> Output {
    run(Command::new(program("rollpin")).env("NO_COLOR", "1").args(arguments), input)
}

/// The rollpin command line where no cluster can be reached.
pub fn rollpin_offline(arguments: &[&str], input: &str) -> Output {
    run(Command::new(program("rollpin")).env_remove("KUBECONFIG").env("HOME", "/nonexistent").args(arguments), input)
}

/// A program that was built for these tests.
pub fn program(name: &str) -> String {
    format!("{}/{name}", setting("ROLLPIN_BIN"))
}

impl Scene {
    /// The rollpin command line in this namespace.
    pub fn rollpin(&self, arguments: &[&str]) -> Output {
        rollpin(&[&["--namespace", &self.namespace], arguments].concat(), "")
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// One GET through the gateway; `None` without an answer. Gives the status code.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut command = Command::new("curl");
        command.args([
            "-s",
            "-o",
            "/dev/null",
            "--max-time",
            "5",
            "-w",
            "%{http_code}",
            "-H",
            &format!("host: {}", self.host),
        ]);
        for (name, value) in headers {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        let answer = run(command.arg(format!("{}{path}", super::gateway())), "");
        answer.out.trim().parse().ok().filter(|code| *code != 0)
    }

    /// An unmodified MCP client of a revision, in the background.
    pub fn mcp_client(
        &self,
        revision: &str,
        conversations: u32,
        turns: u32,
        think: f64,
    ) -> std::thread::JoinHandle<Output> {
        let python = setting(&format!("ROLLPIN_MCP_{}", revision.replace('-', "_")));
        let script = repository(&format!("examples/mcp-clients/client_{}.py", revision.replace('-', "_")));
        let (url, host) = (format!("{}/mcp", super::gateway()), self.host.clone());
        std::thread::spawn(move || {
            let numbers = [conversations.to_string(), turns.to_string(), think.to_string()];
            let [conversations, turns, think] = &numbers;
            let arguments = [
                &script,
                "--url",
                &url,
                "--host",
                &host,
                "--conversations",
                conversations,
                "--turns",
                turns,
                "--think-time",
                think,
            ];
            run(Command::new(python).args(arguments), "")
        })
    }
}
