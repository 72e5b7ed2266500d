//! Redis as others run it: with TLS and users, behind Sentinel, as a Cluster, and Valkey in its place.

mod cluster;
mod dead_senders;
mod limits;
mod log_lines;
mod promptness;
mod sentinel;
mod tls;
mod valkey;
