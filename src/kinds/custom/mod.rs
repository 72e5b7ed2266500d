//! Kinds of the embedding program. They are started by name and check their input themselves.

pub mod api;
