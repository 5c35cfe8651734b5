//! Repeats the committed result of a command in the command's own status, where the one who asked looks.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use rollpin_crds::ReleaseCommand;
use rollpin_crds::command::{CommandResult, ReleaseCommandStatus};
use rollpin_crds::status::AgentReleaseStatus;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::observe::{Scene, commands};

/// Writes the result of the last command, once.
pub async fn write(ctx: &Context, scene: &Scene, status: &AgentReleaseStatus) -> Result<(), Error> {
    let Some(last) = &status.last_command else {
        return Ok(());
    };
    let found = ctx.stores.commands.get(&ObjectRef::new(&last.name).within(&scene.agent.namespace));
    let open = found.filter(|command| command.metadata.uid.as_deref() == Some(&last.uid) && !answered(command));
    let Some(command) = open else { return Ok(()) };
    let now = jiff::Timestamp::now();
    let result = match last.done {
        true => CommandResult::Done,
        false if commands::expired(&command, now) => CommandResult::Expired,
        false => CommandResult::Refused,
    };
    let answer =
        ReleaseCommandStatus { result: Some(result), message: Some(last.message.clone()), at: Some(Time(now)) };
    let api = ctx.api::<ReleaseCommand>(&scene.agent);
    match api.patch_status(&last.name, &PatchParams::default(), &Patch::Merge(json!({"status": answer}))).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(cause) => {
            Err(Error::api("answer", format!("ReleaseCommand {}/{}", scene.agent.namespace, last.name), cause))
        }
    }
}

fn answered(command: &ReleaseCommand) -> bool {
    command.status.as_ref().is_some_and(|status| status.result.is_some())
}
