//! What users do, against the real server.

mod bad_input;
mod control;
mod downloads;
mod exact;
mod files;
mod odd_files;
mod rows;
mod tour;
mod watching;
