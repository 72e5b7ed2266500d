//! Redis as others run it: with TLS and users, behind Sentinel, and as a Cluster.

mod cluster;
mod limits;
mod sentinel;
mod tls;
