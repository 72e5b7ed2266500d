//! The API's shape. Fields that all tasks have stand here; each kind adds its own in its `api.rs`.

mod budget;
pub mod control;
pub mod dataset;
pub mod error;
pub mod idempotency;
pub mod paging;
pub mod progress;
pub mod query;
pub mod scalars;
pub mod services;
pub mod subscription;
pub mod task;

use async_graphql::{MergedObject, Schema, SchemaBuilder};

use crate::kinds::api::Starts;
use control::Control;
use dataset::DatasetMutation;
use query::Query;
use services::Services;
use subscription::Subscription;

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

/// The API over `services`.
pub fn api(services: Services) -> Api {
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
