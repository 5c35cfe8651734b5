//! `rollpin version`: this program, and the operator where it can be reached.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use crate::args::Global;
use crate::connect;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::progress::Progress;

/// How the chart labels the operator's Deployment.
const OPERATOR: &str = "app.kubernetes.io/name=rollpin";

#[derive(Debug, Serialize)]
struct Versions {
    client: Client,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Operator>,
}

#[derive(Debug, Serialize)]
struct Client {
    version: &'static str,
    engine: &'static str,
    api: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Operator {
    Images(Vec<String>),
    Unknown(String),
}

/// This program alone.
pub fn run_offline(global: &Global) -> Result<Exit, Failure> {
    print(global, &Versions { client: client(), operator: None })
}

/// The operator too; that it cannot be reached is an answer, not an error.
pub async fn run_online(global: &Global) -> Result<Exit, Failure> {
    let progress = Progress::new(global.quiet);
    let operator = match progress.during("asking for the operator", images(global)).await {
        Ok(images) if images.is_empty() => Operator::Unknown(format!("no Deployment with the label {OPERATOR}")),
        Ok(images) => Operator::Images(images),
        Err(failure) => Operator::Unknown(failure.to_string()),
    };
    progress.clear();
    print(global, &Versions { client: client(), operator: Some(operator) })
}

fn client() -> Client {
    Client {
        version: env!("CARGO_PKG_VERSION"),
        engine: rollpin_engine::record::ENGINE,
        api: format!("{}/{}", rollpin_crds::GROUP, rollpin_crds::VERSION),
    }
}

async fn images(global: &Global) -> Result<Vec<String>, Failure> {
    let cluster = connect::connect(global).await?;
    let api: Api<Deployment> = Api::all(cluster.client.clone());
    let found = connect::answer("look for the operator", api.list(&ListParams::default().labels(OPERATOR))).await?;
    let pods = found.items.into_iter().filter_map(|deployment| deployment.spec?.template.spec);
    Ok(pods.flat_map(|pod| pod.containers).filter_map(|container| container.image).collect())
}

fn print(global: &Global, versions: &Versions) -> Result<Exit, Failure> {
    if output::say_value(global.output, versions)? {
        return Ok(Exit::Ok);
    }
    let Client { version, engine, api } = &versions.client;
    output::say(&format!("rollpin {version} (engine {engine}, {api})"))?;
    match &versions.operator {
        Some(Operator::Images(images)) => output::say(&format!("operator {}", images.join(", ")))?,
        Some(Operator::Unknown(why)) => output::say(&format!("operator unknown: {why}"))?,
        None => {}
    }
    Ok(Exit::Ok)
}
