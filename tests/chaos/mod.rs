//! The real server under bad luck: killed, frozen, asked for everything at once. Whatever happens, the rows are exact.

mod backups;
mod copies;
mod ends;
mod folder;
mod frozen;
mod kills;
mod lanes;
pub mod luck;
mod nodes;
mod restarts;
mod slow;
pub mod two;
mod uploads;
mod verbs;
