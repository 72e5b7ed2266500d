//! The API: queries, mutations, subscriptions and the union of the kinds.

mod control;
mod datasets;
mod filter;
mod kinds;
mod query;
mod subscription;

use async_graphql::{MergedObject, Schema, SchemaBuilder};

use self::control::ControlMutation;
use self::datasets::DatasetMutation;
use self::kinds::Starts;
use self::query::Query;
use self::subscription::Subscription;
use crate::gql::budget::BudgetExtension;
use crate::state::AppState;

/// Maximum nesting of selections.
const DEPTH: usize = 15;

/// Maximum nesting that the parser accepts.
const RECURSION: usize = 24;

/// Maximum number of directives on one selection.
const DIRECTIVES: usize = 16;

/// The schema, ready to execute requests.
pub type Api = Schema<Query, Mutation, Subscription>;

/// Mutations.
#[derive(Default, MergedObject)]
pub struct Mutation(Starts, ControlMutation, DatasetMutation);

/// Builds the schema over `app`.
pub fn schema(app: AppState) -> Api {
    builder().data(app).finish()
}

/// Returns the schema in the schema definition language (SDL).
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
        .limit_depth(DEPTH)
        .extension(BudgetExtension)
        .limit_recursive_depth(RECURSION)
        .limit_directives(DIRECTIVES)
}
