//! Documents that a request names by their IDs or hashes instead of sending them.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    cache::TextCache,
    codes::Code,
    manifest::{PersistedDocuments, SHA256, hash_of},
    refusal::Refusal,
    request::Operation,
};

/// Size of a cached text besides its bytes.
const ENTRY_BYTES: usize = 300;

/// Maximum length of an ID that an error shows, in bytes.
const SHOWN: usize = 100;

/// Finds the text of the document of a request.
pub struct Texts {
    documents: PersistedDocuments,
    listed_only: bool,
    /// Texts that clients registered, by their hashes. None if clients may register none.
    registered: Option<TextCache<Arc<str>>>,
}

/// Apollo's extension of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: u64,
    sha256_hash: String,
}

impl Texts {
    /// Creates the texts. With `listed_only` only `documents` may be run. Clients may register others of `cache_bytes` together.
    pub fn new(documents: PersistedDocuments, listed_only: bool, cache_bytes: usize) -> Self {
        let registered = (cache_bytes > 0 && !listed_only).then(|| TextCache::new(cache_bytes));
        Self { documents, listed_only, registered }
    }

    /// Returns the text of the document that a request sends or names.
    pub fn find(&self, operation: &mut Operation) -> Result<String, Refusal> {
        let query = operation.query.take().filter(|query| !query.is_empty());
        let hash = persisted_query(operation.extensions.as_ref())?;
        match (query, operation.document_id.take(), hash) {
            (Some(query), Some(id), _) => match id.strip_prefix(SHA256) {
                Some(hash) => self.register(query, hash),
                None => Err(Refusal::bad_request("Send a query or a documentId, not both.")),
            },
            (None, Some(id), _) => self.named(&id),
            (Some(query), None, Some(hash)) => self.register(query, &hash),
            (None, None, Some(hash)) => self.registered(&hash),
            (Some(query), None, None) => self.sent(query),
            (None, None, None) => Err(Refusal::bad_request("The request has no query.")),
        }
    }

    /// Returns the document with an ID: a listed one, or one that a client registered by its hash.
    fn named(&self, id: &str) -> Result<String, Refusal> {
        let registered = || self.registered.as_ref()?.get(id.strip_prefix(SHA256)?);
        if let Some(text) = self.documents.get(id) {
            return Ok(text.to_owned());
        }
        registered().map(|text| text.to_string()).ok_or_else(|| unknown(id))
    }

    fn sent(&self, query: String) -> Result<String, Refusal> {
        if self.listed_only && !self.documents.contains(&query) {
            let text = "This server runs only the documents of its list: send the documentId of one.";
            return Err(Refusal::request_error(Code::Forbidden, text));
        }
        Ok(query)
    }

    fn register(&self, query: String, hash: &str) -> Result<String, Refusal> {
        let actual = hash_of(&query);
        if actual != hash {
            return Err(Refusal::bad_request(format!("The hash is not that of the query, which is {actual}.")));
        }
        if let Some(registered) = &self.registered {
            registered.insert(hash, query.as_str().into(), ENTRY_BYTES + query.len());
        }
        self.sent(query)
    }

    /// Apollo's clients know the two messages, and then send the query.
    fn registered(&self, hash: &str) -> Result<String, Refusal> {
        if let Some(text) = self.documents.get(hash) {
            return Ok(text.to_owned());
        }
        let Some(registered) = &self.registered else {
            return Err(Refusal::request_error(Code::PersistedQueryNotSupported, "PersistedQueryNotSupported"));
        };
        let unknown = || Refusal::request_error(Code::PersistedQueryNotFound, "PersistedQueryNotFound");
        registered.get(hash).map(|text| text.to_string()).ok_or_else(unknown)
    }
}

fn unknown(id: &str) -> Refusal {
    let shown = if id.len() > SHOWN { String::new() } else { format!(" \"{id}\"") };
    let text = format!("The documentId{shown} is not known. Send the ID of a listed document, or the query.");
    Refusal::request_error(Code::PersistedQueryNotFound, text)
}

/// Returns the hash of Apollo's extension.
fn persisted_query(extensions: Option<&Map<String, Value>>) -> Result<Option<String>, Refusal> {
    let Some(given) = extensions.and_then(|extensions| extensions.get("persistedQuery")) else { return Ok(None) };
    match PersistedQuery::deserialize(given) {
        Ok(query) if query.version == 1 => Ok(Some(query.sha256_hash.to_ascii_lowercase())),
        Ok(_) => Err(Refusal::bad_request("The version of persistedQuery must be 1.")),
        Err(error) => Err(Refusal::bad_request(format!("Invalid persistedQuery: {error}."))),
    }
}
