//! The API: queries, mutations, subscriptions, and the union of the kinds. Each kind adds its fields in its `api.rs`.

mod control;
mod datasets;
mod filter;
mod kinds;
mod query;
mod subscription;

use async_graphql::{MergedObject, Schema, SchemaBuilder};

use self::control::Control;
use self::datasets::DatasetMutation;
use self::kinds::Starts;
use self::query::Query;
use self::subscription::Subscription;
use crate::gql::budget;
use crate::gql::services::Services;

/// Nesting of selections.
const DEPTH: usize = 15;

/// Nesting that the parser takes.
const RECURSION: usize = 24;

/// Directives on one selection.
const DIRECTIVES: usize = 16;

/// Everything that can be asked and done.
pub type Api = Schema<Query, Mutation, Subscription>;

/// What changes something.
#[derive(Default, MergedObject)]
pub struct Mutation(Starts, Control, DatasetMutation);

/// Builds the schema over `services`.
pub fn schema(services: Services) -> Api {
    builder().data(services).finish()
}

/// The schema as text.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
        .limit_depth(DEPTH)
        .extension(budget::Factory)
        .limit_recursive_depth(RECURSION)
        .limit_directives(DIRECTIVES)
}
