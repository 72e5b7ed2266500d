//! Limits of GraphQL requests and their responses.

use std::ops::RangeInclusive;
use std::time::Duration;

use graphql_transport::PersistedDocuments;

use super::super::ConfigError;
use super::super::reader::SettingReader;
use super::{BYTES, SECONDS};

/// Limits of GraphQL requests.
#[derive(Clone, Debug)]
pub struct GraphqlLimits {
    /// Maximum depth of nested selections.
    pub max_depth: usize,
    /// Maximum complexity of an operation.
    pub max_complexity: usize,
    /// Maximum number of selections, with fragments expanded.
    pub max_selections: usize,
    /// Maximum number of aliases.
    pub max_aliases: usize,
    /// Maximum number of directives.
    pub max_directives: usize,
    /// Maximum depth of nested brackets.
    pub max_nesting: usize,
    /// Maximum depth of nested fragments.
    pub max_fragment_depth: usize,
    /// Maximum number of items of a list.
    pub max_list_items: usize,
    /// Maximum number of errors that are reported for one document.
    pub max_errors: usize,
    /// Maximum size of the rows in one response, in bytes.
    pub max_row_bytes: usize,
    /// Maximum number of state changes in one response.
    pub max_history_changes: usize,
    /// Maximum number of files of a multipart request.
    pub max_files: usize,
    /// Maximum size of the headers of a part of a multipart request, in bytes.
    pub max_part_header_bytes: usize,
    /// Time between two heartbeats of a subscription over HTTP.
    pub heartbeat: Duration,
    /// Maximum size of the validated documents that a node keeps, in bytes.
    pub document_cache_bytes: usize,
    /// Maximum size of the documents that clients register by hash, in bytes. 0: none can be registered.
    pub persisted_query_cache_bytes: usize,
    /// Documents that requests may name by ID.
    pub persisted_documents: PersistedDocuments,
    /// Refuses all other documents.
    pub persisted_documents_only: bool,
}

/// Range of the sizes of caches, in bytes: none to 1 GiB.
const CACHE_BYTES: RangeInclusive<i64> = 0..=1 << 30;

/// Range of numbers of things in a document.
const THINGS: RangeInclusive<i64> = 1..=100_000;

/// The setting that names the file of persisted documents.
const PERSISTED: &str = "graphql.persisted_documents";

impl GraphqlLimits {
    pub(in crate::config) fn load(settings: &SettingReader) -> Result<GraphqlLimits, ConfigError> {
        Ok(GraphqlLimits {
            max_depth: settings.count("graphql.max_depth", 1..=40)?,
            max_complexity: settings.count("graphql.max_complexity", 1..=100_000_000)?,
            max_selections: settings.count("graphql.max_selections", THINGS)?,
            max_aliases: settings.count("graphql.max_aliases", THINGS)?,
            max_directives: settings.count("graphql.max_directives", THINGS)?,
            // The parser and the checks recurse: see `graphql_transport::Settings`.
            max_nesting: settings.count("graphql.max_nesting", 1..=96)?,
            max_fragment_depth: settings.count("graphql.max_fragment_depth", 1..=32)?,
            max_list_items: settings.count("graphql.max_list_items", 500..=100_000)?,
            max_errors: settings.count("graphql.max_errors", 1..=1000)?,
            max_row_bytes: settings.count("graphql.max_row_bytes", 1 << 10..=1 << 30)?,
            max_history_changes: settings.count("graphql.max_history_changes", 1..=10_000_000)?,
            max_files: settings.count("graphql.max_files", 1..=1000)?,
            max_part_header_bytes: settings.count("graphql.max_part_header_bytes", BYTES)?,
            heartbeat: settings.seconds("graphql.heartbeat_seconds", SECONDS)?,
            document_cache_bytes: settings.count("graphql.document_cache_bytes", CACHE_BYTES)?,
            persisted_query_cache_bytes: settings.count("graphql.persisted_query_cache_bytes", CACHE_BYTES)?,
            persisted_documents: persisted_documents(settings)?,
            persisted_documents_only: persisted_documents_only(settings)?,
        })
    }
}

/// Reads the file of persisted documents. Returns none if there is no such file.
fn persisted_documents(settings: &SettingReader) -> Result<PersistedDocuments, ConfigError> {
    let Some(file) = settings.text(PERSISTED)? else { return Ok(PersistedDocuments::default()) };
    let json = match std::fs::read(file) {
        Ok(json) => json,
        Err(cause) => return settings.refuse(PERSISTED, format!("a file that can be read: {cause}")),
    };
    PersistedDocuments::from_json(&json)
        .or_else(|cause| settings.refuse(PERSISTED, format!("a file of persisted documents: {cause}")))
}

/// Returns true if only the documents of a file may run. That file must be set.
fn persisted_documents_only(settings: &SettingReader) -> Result<bool, ConfigError> {
    let name = "graphql.persisted_documents_only";
    match settings.flag(name)? {
        true if settings.text(PERSISTED)?.is_none() => {
            settings.refuse(name, format!("false, or {PERSISTED} to name a file"))
        }
        only => Ok(only),
    }
}
