//! User workflows on the real server.

mod backups;
mod bad_input;
mod control;
mod deleting;
mod downloads;
mod exact;
mod exports;
mod files_identity;
mod folders;
mod idempotency;
mod large;
mod limits;
mod logs;
mod odd_files;
mod request_rates;
mod resumed_urls;
mod retention;
mod rows;
mod settings;
mod sources;
mod texts;
mod tour;
mod traces;
mod tus;
mod uploads;
mod watching;
