//! The real server is killed, frozen and flooded with requests. Whatever happens, the rows are exact.

mod backups;
mod bucket_faults;
mod bucket_shutdowns;
mod bucket_takeover;
mod buckets;
mod copies;
pub mod events;
pub mod folder;
mod frozen;
mod full_disk;
mod kills;
mod left_overs;
mod nodes;
pub mod random;
mod restarts;
mod rollbacks;
mod slow_downloads;
mod slow_files;
mod stops;
mod subscribers;
pub mod two_nodes;
mod uploads;
mod vanished;
mod verbs;
mod watchers;
mod write_slots;
