//! Stories of Pausa against the real server and real databases. One binary, so that it is linked once and its databases are
//! shared.

mod api_page;
mod blobs;
mod chaos;
mod datasets;
mod deploy;
mod embedding;
mod generated;
mod harness;
mod language;
mod leases;
mod metrics;
mod model;
mod outages;
mod pages;
mod redis;
mod store;
mod stories;
mod tidy;
mod timers;
