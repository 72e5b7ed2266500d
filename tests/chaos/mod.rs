//! The real server under bad luck: killed, frozen, asked for everything at once. Whatever happens, the rows are exact.

mod ends;
mod folder;
mod frozen;
mod kills;
mod lanes;
mod luck;
mod nodes;
mod restarts;
mod two;
mod uploads;
mod verbs;
