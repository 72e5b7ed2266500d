//! Kinds of the embedding program: they are started by name, with a spec that they check themselves.

pub mod api;
