//! What users do, against the real server.

mod bad_input;
mod control;
mod files;
mod rows;
mod tour;
mod watching;
