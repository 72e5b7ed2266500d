//! The API: queries, mutations, subscriptions and the union of the kinds.

mod control;
mod datasets;
mod filter;
mod kinds;
mod query;
mod subscription;

use std::sync::Arc;

use async_graphql::{Data, Executor, MergedObject, Request, Response, Schema, SchemaBuilder};
use futures_util::stream::BoxStream;

use self::control::ControlMutation;
use self::datasets::DatasetMutation;
use self::kinds::Starts;
use self::query::Query;
use self::subscription::SubscriptionRoot;
use crate::access::Caller;
use crate::gql::budget::BudgetExtension;
use crate::state::AppState;

/// Maximum nesting of selections.
const DEPTH: usize = 15;

/// Maximum nesting that the parser accepts.
const RECURSION: usize = 24;

/// Maximum number of directives on one selection.
const DIRECTIVES: usize = 16;

/// The API. It executes requests only for a caller: see [`Api::for_caller`].
pub struct Api(ApiSchema);

type ApiSchema = Schema<Query, Mutation, SubscriptionRoot>;

/// Mutations.
#[derive(Default, MergedObject)]
pub struct Mutation(Starts, ControlMutation, DatasetMutation);

impl Api {
    /// Builds the API over `app`.
    pub fn new(app: AppState) -> Api {
        Api(builder().data(app).finish())
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
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, SubscriptionRoot> {
    Schema::build(Query, Mutation::default(), SubscriptionRoot)
        .limit_depth(DEPTH)
        .extension(BudgetExtension)
        .limit_recursive_depth(RECURSION)
        .limit_directives(DIRECTIVES)
}
