//! Writes the route: as one object, with the version that the decision was made on, so that a late leader is refused.

use rollpin_crds::AgentRelease;
use rollpin_engine::plan::Plan;
use serde_json::{Value, json};

use super::apply;
use crate::build::traffic;
use crate::context::Context;
use crate::error::Error;
use crate::observe::{Scene, route};

/// Makes the route what the plan says; true if it already was.
pub async fn ensure(ctx: &Context, agent: &AgentRelease, scene: &Scene, plan: &Plan) -> Result<bool, Error> {
    let Some(wanted) = &plan.route else {
        return Ok(true);
    };
    let standing = scene.route.as_ref().map(|live| &live.spec);
    let mut wanted = traffic::route(&scene.agent, wanted, &agent.spec.traffic, &scene.settings.carriers, standing);
    let client = &ctx.shared.client;
    let Some(live) = &scene.route else {
        // A plain create: an apply would make a route again that somebody deleted on purpose after we looked.
        apply::create(client, &scene.agent, &wanted).await?;
        return Ok(false);
    };
    if !live.ours {
        return Err(Error::Taken { object: format!("HTTPRoute {}/{}", scene.agent.namespace, scene.agent.name) });
    }
    if route::says(live, &wanted) {
        return Ok(true);
    }
    fence(&mut wanted, live);
    apply::apply(client, &scene.agent, &wanted).await?;
    Ok(false)
}

fn fence(wanted: &mut Value, live: &route::Live) {
    if let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("uid".to_owned(), json!(live.uid));
        metadata.insert("resourceVersion".to_owned(), json!(live.version));
    }
}
