//! Bad manifests get a clear answer: the field, what is wrong, what to write instead. Never a crash, never a half-made rollout.
//!
//! Each file of `tests/data/bad-manifests` says in its head who answers: the API server, a condition, or `rollpin lint`.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use rollpin_crds::AgentRelease;
use serde_json::{Value, json};

use crate::support::{Scene, kubectl_with, operator_namespace, pause, programs, repository};

/// What the command line's own YAML reader says before the shared checks would: it sees what YAML was, they see values.
const READER_SAYS: [(&str, &str); 3] = [
    ("27-null-in-a-schema", "leave the field out"),
    ("28-unsafe-integer", "or a smaller number"),
    ("30-unknown-deep-field", "did you mean \"maxOutputTokens\"?"),
];

struct Case {
    file: String,
    text: String,
    field: String,
    says: String,
}

fn cases(tag: &str) -> Vec<Case> {
    let folder = repository("tests/data/bad-manifests");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut found = vec![];
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let text = std::fs::read_to_string(path).unwrap();
        let head = |name: &str| {
            let start = format!("# {name}: ");
            text.lines()
                .find_map(|line| line.strip_prefix(start.as_str()))
                .unwrap_or_else(|| panic!("{}: no {start}", path.display()))
                .to_owned()
        };
        if head("tag") == tag {
            let file = path.file_stem().unwrap().to_string_lossy().into_owned();
            let (field, says) = (head("field"), head("says"));
            found.push(Case { file, field: if field == "-" { String::new() } else { field }, says, text });
        }
    }
    assert!(found.len() >= 5, "only {} cases are tagged {tag}", found.len());
    found
}

impl Case {
    fn is_answered_by(&self, answer: &str) -> bool {
        answer.contains(&self.field) && answer.contains(&self.says)
    }

    fn wanted(&self, answer: &str) -> String {
        format!("{}: wanted {:?} and {:?} in\n{answer}", self.file, self.field, self.says)
    }

    /// The manifest under the file's name, in a namespace of the test.
    fn placed(&self, scene: &Scene) -> Value {
        let mut manifest: Value = serde_yaml::from_str(&self.text).unwrap();
        manifest["metadata"] = json!({"name": self.file, "namespace": scene.namespace});
        manifest
    }
}

#[test]
fn the_api_server_refuses_what_its_schema_can_tell() {
    let mut failures = vec![];
    for case in cases("Admission") {
        let answer = kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &case.text);
        if answer.code == 0 || !case.is_answered_by(&answer.all()) {
            failures.push(case.wanted(&answer.all()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn lint_finds_what_the_schema_cannot_tell() {
    let mut failures = vec![];
    for mut case in cases("Lint") {
        if let Some((_, says)) = READER_SAYS.iter().find(|(file, _)| *file == case.file) {
            case.says = (*says).to_owned();
        }
        let answer = programs::rollpin_offline(&["lint", "-f", "-"], &case.text);
        if answer.code == 0 || !case.is_answered_by(&answer.all()) {
            failures.push(format!("exit code {}: {}", answer.code, case.wanted(&answer.all())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_says_what_only_the_operator_can_tell_and_nothing_is_rolled_out() {
    let scene = Scene::new("conditions").await;
    let restarts = restarts();
    let cases = cases("Condition");
    for case in &cases {
        scene.apply(&case.placed(&scene));
    }
    let mut failures = vec![];
    for case in &cases {
        let answer = answered(&scene, case).await;
        if !case.is_answered_by(&answer) {
            failures.push(case.wanted(&answer));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let made = scene.api::<Deployment>().list(&ListParams::default()).await.unwrap().items;
    assert!(made.is_empty(), "a manifest that cannot be carried out made {} Deployments", made.len());
    let routes = scene.kubectl(&["get", "httproutes", "-o", "name"]).ok();
    assert_eq!(routes.trim(), "", "a manifest that cannot be carried out made a route");
    assert_eq!(restarts, self::restarts(), "the operator crashed");
}

/// What the conditions say once they have said something about this case.
async fn answered(scene: &Scene, case: &Case) -> String {
    let mut said = String::new();
    for _ in 0..75 {
        let release = scene.api::<AgentRelease>().get(&case.file).await.unwrap();
        let conditions = release.status.unwrap_or_default().conditions;
        let bad: Vec<String> = conditions
            .iter()
            .filter(|it| {
                (it.type_ == "Ready" && it.status == "False") || (it.type_ == "Stalled" && it.status == "True")
            })
            .map(|it| format!("{}={} {}: {}", it.type_, it.status, it.reason, it.message))
            .collect();
        said = bad.join("\n");
        if case.is_answered_by(&said) {
            return said;
        }
        pause(0.2).await;
    }
    said
}

fn restarts() -> String {
    let path = "jsonpath={.items[*].status.containerStatuses[*].restartCount}";
    crate::support::kubectl(&["--namespace", &operator_namespace(), "get", "pods", "-o", path]).ok()
}
