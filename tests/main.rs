//! What Pausa does, told as stories against the real thing. One binary, so that it is linked once and its databases are
//! shared.

mod datasets;
mod embedding;
mod harness;
mod pages;
mod stories;
mod tidy;
mod transport;
