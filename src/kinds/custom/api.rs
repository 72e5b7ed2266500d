//! Kinds of the embedding program in the API.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Json, Object};
use serde_json::Value;

use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::DateTime;
use crate::gql::services::Services;
use crate::gql::task::task_type;
use crate::kinds::api::TaskKind;
use crate::runner::StartOptions;
use crate::task::{State, Task};

task_type! {
    /// A task of a kind that the embedding program registered.
    CustomTask, CustomFields, TaskKind::Custom
}

/// What such a task has beyond others.
pub struct CustomFields(Arc<Task>);

#[Object]
impl CustomFields {
    /// The kind's name.
    async fn name(&self) -> &str {
        &self.0.kind
    }

    /// What it is to do, as it was started.
    async fn spec(&self) -> Result<Json<Value>> {
        serde_json::from_str(&self.0.spec).map(Json).map_err(error::internal)
    }

    /// What it left at its last checkpoint, once COMPLETED.
    async fn output(&self) -> Result<Option<Json<Value>>> {
        let cursor = self.0.cursor.as_deref().filter(|_| self.0.state == State::Completed);
        cursor.map(serde_json::from_str).transpose().map(|output| output.map(Json)).map_err(error::internal)
    }
}

/// What to start.
#[derive(InputObject)]
pub struct StartCustomInput {
    /// The name under which the kind is registered.
    name: String,
    /// What it is to do; the kind checks it.
    spec: Json<Value>,
    /// Label chosen by the client, up to 200 characters.
    label: Option<String>,
    /// When it may first run.
    start_at: Option<DateTime>,
    /// Makes the call repeatable, up to 200 characters: a second one with the same key and the same input returns the first one's task. The same
    /// key with a different input, or for a different kind of task, is refused with CONFLICT and the id of that task.
    idempotency_key: Option<String>,
}

/// Starting tasks of other kinds.
#[derive(Default)]
pub struct CustomStart;

#[Object]
impl CustomStart {
    /// Starts a task of a kind that the embedding program registered; that kind checks the spec.
    async fn start_custom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which kind, and what it is to do.")] input: StartCustomInput,
    ) -> Result<CustomTask> {
        let services = ctx.data_unchecked::<Services>();
        if TaskKind::of(&input.name) != TaskKind::Custom {
            let text = format!("{:?} is started by a mutation of its own", input.name);
            return Err(error::bad_input("name", text));
        }
        let (key, start_at) = (idempotency::key(ctx, input.idempotency_key)?, input.start_at.map(|at| at.0));
        let options = StartOptions::new(input.label, start_at, key).map_err(error::from_input)?;
        services.start(&input.name, input.spec.0, options).await.map(CustomTask::from)
    }
}
