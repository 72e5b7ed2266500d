//! Several nodes as operators run them: restarts one after the other, and upgrades.

mod draining;
mod health;
mod migrations;
mod rolling;
