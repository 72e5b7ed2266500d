//! Redis as others run it: with TLS and users, behind Sentinel, and as a Cluster.

mod cluster;
mod dead_senders;
mod limits;
mod promptness;
mod sentinel;
mod tls;
