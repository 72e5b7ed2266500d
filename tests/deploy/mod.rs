//! Several nodes as operators run them: restarts one after the other, and upgrades.

mod cluster;
mod compose;
mod draining;
mod handover;
mod health;
mod kubernetes;
mod manifests;
mod many_tasks;
mod migrations;
pub mod objects;
mod processes;
mod rolling;
mod topology;
