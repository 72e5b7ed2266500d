//! The API: queries, mutations, subscriptions and the union of the kinds.

mod changes;
mod control;
mod counts;
mod cursor;
mod datasets;
mod filter;
mod kinds;
mod limits;
mod nodes;
mod pace;
mod query;
mod server_nodes;
mod subscription;
mod update;
mod uploads;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{
    Data, Executor, InputType, MergedObject, Request, Response, SDLExportOptions, ScalarType, Schema, SchemaBuilder,
    ValidationMode, Value,
};
use futures_util::stream::BoxStream;

use self::control::ControlMutation;
use self::counts::CountTopics;
use self::datasets::DatasetMutation;
use self::kinds::Starts;
use self::query::Query;
use self::subscription::SubscriptionRoot;
use self::update::UpdateMutation;
use self::uploads::UploadMutation;
use crate::access::Caller;
use crate::gql::budget::RequestLimits;
use crate::gql::scalars::{Count, DateTime, UploadScalar};
use crate::state::AppState;

/// The API. It executes requests only for a caller: see [`Api::for_caller`].
pub struct Api(ApiSchema);

type ApiSchema = Schema<Query, Mutation, SubscriptionRoot>;

/// Mutations.
#[derive(Default, MergedObject)]
pub struct Mutation(Starts, ControlMutation, UpdateMutation, UploadMutation, DatasetMutation);

impl Api {
    /// Builds the API over `app`.
    pub fn new(app: AppState) -> Api {
        let limits = &app.config.graphql;
        let builder = builder()
            .limit_depth(limits.max_depth)
            .limit_recursive_depth(limits.max_nesting)
            .extension(RequestLimits::of(limits));
        Api(builder.data(app).data(CountTopics::default()).finish())
    }

    /// Returns the executor of the requests that `caller` sends.
    pub fn for_caller(&self, caller: Caller) -> CallerApi {
        CallerApi { schema: self.0.clone(), caller }
    }
}

/// The API, as one caller uses it.
#[derive(Clone)]
pub struct CallerApi {
    schema: ApiSchema,
    caller: Caller,
}

impl Executor for CallerApi {
    async fn execute(&self, request: Request) -> Response {
        self.schema.execute(request.data(self.caller.clone())).await
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        Executor::execute_stream(&self.schema, request.data(self.caller.clone()), session)
    }
}

/// Returns the schema in the schema definition language (SDL).
pub fn sdl() -> String {
    builder().finish().sdl_with_options(SDLExportOptions::new().include_specified_by())
}

fn builder() -> SchemaBuilder<Query, Mutation, SubscriptionRoot> {
    Schema::build(Query, Mutation::default(), SubscriptionRoot)
        // The transport validates documents.
        .validation_mode(ValidationMode::Fast)
}

/// A check of a value of a scalar.
pub type ScalarCheck = fn(&Value) -> std::result::Result<(), String>;

/// Returns the checks of the scalars, by name. JSON takes any value.
pub fn scalars() -> HashMap<&'static str, ScalarCheck> {
    HashMap::from([
        ("Count", check::<Count> as ScalarCheck),
        ("DateTime", check::<DateTime>),
        ("Upload", check::<UploadScalar>),
    ])
}

fn check<S: ScalarType + InputType>(value: &Value) -> std::result::Result<(), String> {
    <S as ScalarType>::parse(value.clone())
        .map(drop)
        .map_err(|error| error.into_server_error(Default::default()).message)
}
