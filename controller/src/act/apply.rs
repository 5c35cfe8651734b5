//! The few ways in which rollpin writes objects: create once, apply by server-side apply, patch one field, delete.

use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rollpin_crds::MANAGER;
use serde_json::Value;

use crate::build::Agent;
use crate::error::Error;

/// The API of the kind of an object that was built as JSON.
fn api_of(client: &Client, object: &Value, agent: &Agent) -> Api<DynamicObject> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    Api::namespaced_with(client.clone(), &agent.namespace, &kind)
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn named(object: &Value, agent: &Agent) -> String {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    format!("{kind} {}/{}", agent.namespace, name_of(object))
}

/// Makes an object that never changes; that it exists already is fine if it is ours.
pub async fn create_once(client: &Client, agent: &Agent, object: &Value) -> Result<(), Error> {
    let api = api_of(client, object, agent);
    match api
        .create(
            &PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() },
            &parsed(object, agent)?,
        )
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => is_ours(&api, agent, object).await,
        Err(cause) => Err(Error::api("create", named(object, agent), cause)),
    }
}

/// Makes an object that must not be there.
pub async fn create(client: &Client, agent: &Agent, object: &Value) -> Result<(), Error> {
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api_of(client, object, agent).create(&params, &parsed(object, agent)?).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            Err(Error::Conflict { object: named(object, agent) })
        }
        Err(cause) => Err(Error::api("create", named(object, agent), cause)),
    }
}

/// Makes an object what it must be.
pub async fn apply(client: &Client, agent: &Agent, object: &Value) -> Result<(), Error> {
    let params = PatchParams::apply(MANAGER).force();
    let done = api_of(client, object, agent).patch(name_of(object), &params, &Patch::Apply(object)).await;
    done.map(|_| ()).map_err(|cause| Error::api("apply", named(object, agent), cause))
}

/// Removes an object; that it is gone already is fine.
pub async fn delete(client: &Client, agent: &Agent, group_version: &str, kind: &str, name: &str) -> Result<(), Error> {
    let object = serde_json::json!({"apiVersion": group_version, "kind": kind, "metadata": {"name": name}});
    match api_of(client, &object, agent).delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(cause) => Err(Error::api("delete", named(&object, agent), cause)),
    }
}

fn parsed(object: &Value, agent: &Agent) -> Result<DynamicObject, Error> {
    serde_json::from_value(object.clone())
        .map_err(|cause| Error::Malformed { object: named(object, agent), why: cause.to_string() })
}

/// An object of the same name that another owner made is not overwritten.
async fn is_ours(api: &Api<DynamicObject>, agent: &Agent, wanted: &Value) -> Result<(), Error> {
    let expected = wanted.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str);
    let Some(expected) = expected else {
        return Ok(());
    };
    let there = api.get(name_of(wanted)).await.map_err(|cause| Error::api("read", named(wanted, agent), cause))?;
    let owned = there.metadata.owner_references.iter().flatten().any(|owner| owner.uid == expected);
    if owned { Ok(()) } else { Err(Error::Taken { object: named(wanted, agent) }) }
}
