//! Several nodes as operators run them: restarts one after the other, and upgrades.

mod cluster;
mod compose;
mod draining;
mod health;
mod kubernetes;
mod manifests;
mod migrations;
pub mod objects;
mod rolling;
mod topology;
