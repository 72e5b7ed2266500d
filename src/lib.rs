//! Pausa: a GraphQL server whose long-running tasks can be paused, resumed and terminated while they run.
//!
//! Modules in reading order:
//! - [`task`]: a task, and the one table of its states. Pure.
//! - [`access`]: the caller of a request.
//! - [`store`]: stores tasks; every change is a compare-and-swap.
//! - [`runner`]: claims and runs tasks; the [`runner::Kind`] trait that a kind of task implements.
//! - [`kinds`]: import, export, pi.
//! - [`datasets`]: the tables that imports fill; [`files`]: uploads and results; [`bus`]: delivers changes to
//!   subscribers.
//! - [`database`]: connections to PostgreSQL, for [`store`], [`datasets`] and [`bus`].
//! - [`backup`]: backups of the embedded mode's data folder, also while a server runs.
//! - [`state`]: the parts of a node that requests use.
//! - [`gql`]: the parts of the API that all kinds use; [`api`]: queries, mutations and subscriptions; [`http`]: the
//!   routes.
//! - [`metrics`]: metrics of a node; [`config`], [`clock`], [`telemetry`]: settings, time, log and traces; [`app`]:
//!   starts and wires all parts; [`cli`]: the command line; [`spans`]: spans of traces; `spawn`: starts tokio tasks.
//!
//! Three parts do not depend on the rest and are separate crates: `outbound` (requests to addresses that clients name),
//! `graphql-transport` (GraphQL over HTTP and WebSocket) and `pi-digits` (the arithmetic of pi).
//!
//! See `examples/custom_kind.rs` for a program that embeds Pausa with its own kind.

#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod app;
pub mod backup;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod datasets;
mod disk;
pub mod files;
pub mod gql;
pub mod http;
pub mod kinds;
mod lock;
pub mod metrics;
mod numbers;
pub mod redis_server;
pub mod request_limits;
mod retry;
pub mod runner;
pub mod spans;
mod spawn;
pub mod state;
pub mod store;
pub mod task;
pub mod telemetry;
