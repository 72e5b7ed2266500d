//! User workflows on the real server.

mod backups;
mod bad_input;
mod compression;
mod configured_limits;
mod control;
mod deleting;
mod downloads;
mod exact;
mod exports;
mod fields;
mod files_identity;
mod folders;
mod frames;
mod idempotency;
mod large;
mod limits;
mod lists;
mod logs;
mod odd_files;
mod persisted;
mod request_rates;
mod resumed_urls;
mod retention;
mod rows;
mod settings;

mod sources;
mod specs;
mod texts;
mod things;
mod tour;
mod traces;
mod tus;
mod updating;
mod uploads;
mod watching;
