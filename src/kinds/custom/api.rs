//! The API of kinds of the embedding program: their fields and their start.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object};

use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{DateTime, Json};
use crate::gql::start_fields::StartFields;
use crate::gql::task::{KindView, task_type};
use crate::kinds::api::TaskKind;
use crate::state::AppState;
use crate::task::{State, Task};

task_type! {
    /// Task of a kind registered by the embedding program.
    CustomTask, CustomFields, TaskKind::Custom, VIEW
}

/// The fields that only custom tasks have.
pub struct CustomFields(Arc<Task>);

#[Object]
impl CustomFields {
    /// Name of the kind.
    async fn name(&self) -> &str {
        &self.0.kind
    }

    /// Data of the last checkpoint. Null before COMPLETED.
    async fn output(&self) -> Result<Option<Json>> {
        let cursor = self.0.cursor.as_deref().filter(|_| self.0.state == State::Completed);
        cursor.map(serde_json::from_str).transpose().map(|output| output.map(Json)).map_err(error::internal)
    }
}

const VIEW: KindView = KindView { spec: spec_input, rate: |_| Ok(None) };

fn spec_input(task: &Task) -> Result<Json> {
    serde_json::from_str(&task.spec).map(Json).map_err(error::internal)
}

/// Input of startCustom.
#[derive(InputObject)]
pub struct StartCustomInput {
    /// Name under which the kind is registered.
    name: String,
    /// Input of the task. The kind checks it.
    spec: Json,
    /// Earliest time of the first run. Default: as soon as possible.
    start_at: Option<DateTime>,
    /// The fields that every start has.
    #[graphql(flatten)]
    common: StartFields,
}

/// The mutation that starts custom tasks.
#[derive(Default)]
pub struct CustomStart;

#[Object]
impl CustomStart {
    /// Starts a task of a kind registered by the embedding program.
    async fn start_custom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Kind, its input and options.")] input: StartCustomInput,
    ) -> Result<CustomTask> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        if TaskKind::of(&input.name) != TaskKind::Custom {
            let text = format!("{:?} has its own mutation. Use that instead of startCustom.", input.name);
            return Err(error::bad_input("name", text));
        }
        let key = idempotency::key(ctx, input.common.idempotency_key.clone())?;
        let options = input.common.options(input.start_at.map(|at| at.0), key)?;
        app.start(caller, &input.name, input.spec.0, options).await.map(CustomTask::from)
    }
}
