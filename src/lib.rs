//! Pausa: a GraphQL server whose long-running tasks can be paused, resumed and terminated while they run.
//!
//! The map, in reading order:
//! - [`task`]: what a task is, and the one table of its states. Pure.
//! - [`access`]: who sends a request.
//! - [`store`]: where tasks are kept; every change is a compare-and-swap there.
//! - [`runner`]: claims tasks and runs them; the [`runner::Kind`] trait that a kind of task implements.
//! - [`kinds`]: import, export, pi.
//! - [`datasets`]: the tables that imports fill; [`files`]: uploads and results; [`bus`]: who hears of a change.
//! - [`backup`]: copies of the embedded mode's folder, also while a server runs.
//! - [`state`]: the parts of a node that answer requests.
//! - [`gql`]: what the API of every kind uses; [`api`]: queries, mutations and subscriptions; [`http`]: the routes.
//! - [`metrics`]: what a node counts; [`config`], [`clock`], [`telemetry`], [`app`]: settings, time, the log and traces, and
//!   the wiring of it all; [`cli`]: the command line; [`spans`]: parts of traces.
//!
//! Three parts use nothing of the rest and are crates of their own: `outbound` (requests to addresses that clients name),
//! `graphql-transport` (GraphQL over HTTP and WebSocket) and `pi-digits` (the arithmetic of pi).
//!
//! To embed it with a kind of your own, see `examples/custom_kind.rs`.

#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod app;
pub mod backup;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datasets;
mod disk;
pub mod files;
pub mod gql;
pub mod http;
pub mod kinds;
pub mod metrics;
pub mod runner;
pub mod spans;
pub mod state;
pub mod store;
pub mod task;
pub mod telemetry;
