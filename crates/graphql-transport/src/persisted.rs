//! Documents that a request names by their IDs or hashes instead of sending them.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{cache::TextCache, codes::Code, refusal::Refusal, request::Operation};

/// Size of a cached text besides its bytes.
const ENTRY_BYTES: usize = 300;

/// A file of persisted documents is invalid.
#[derive(Debug, thiserror::Error)]
#[error("invalid persisted documents: {0}")]
pub struct InvalidManifest(#[from] serde_json::Error);

/// Documents that were registered before, by their IDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedDocuments(HashMap<String, String>);

/// The formats of a file of persisted documents.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    Apollo { operations: Vec<ManifestOperation> },
    Map(HashMap<String, String>),
}

#[derive(Deserialize)]
struct ManifestOperation {
    id: String,
    body: String,
}

impl PersistedDocuments {
    /// Reads a JSON object of IDs and documents, as Relay's compiler writes it, or a manifest as Apollo's tools write it.
    ///
    /// # Errors
    /// The JSON is neither.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidManifest> {
        let documents = match serde_json::from_slice(json)? {
            Manifest::Map(documents) => documents,
            Manifest::Apollo { operations } => operations.into_iter().map(|known| (known.id, known.body)).collect(),
        };
        Ok(Self(documents))
    }

    /// Returns the document with an ID. A hash may have the prefix `sha256:` in the request, in the file or in neither.
    fn get(&self, id: &str) -> Option<&str> {
        let bare = id.strip_prefix("sha256:").unwrap_or(id);
        let text = self.0.get(id).or_else(|| self.0.get(bare)).or_else(|| self.0.get(&format!("sha256:{bare}")));
        text.map(String::as_str)
    }
}

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
            (Some(_), Some(_), _) => Err(Refusal::bad_request("Send a query or a documentId, not both.")),
            (None, Some(id), _) => self.listed(&id),
            (Some(query), None, Some(hash)) => self.register(query, &hash),
            (None, None, Some(hash)) => self.registered(&hash),
            (Some(query), None, None) => self.sent(query),
            (None, None, None) => Err(Refusal::bad_request("The request has no query.")),
        }
    }

    fn listed(&self, id: &str) -> Result<String, Refusal> {
        let unknown = || Refusal::request_error(Code::PersistedQueryNotFound, "The documentId is not known.");
        self.documents.get(id).map(str::to_owned).ok_or_else(unknown)
    }

    fn sent(&self, query: String) -> Result<String, Refusal> {
        if self.listed_only && self.documents.get(&hash_of(&query)) != Some(&query) {
            let text = "This server runs only persisted documents: send a documentId.";
            return Err(Refusal::request_error(Code::Forbidden, text));
        }
        Ok(query)
    }

    fn register(&self, query: String, hash: &str) -> Result<String, Refusal> {
        if hash_of(&query) != hash {
            return Err(Refusal::bad_request("The sha256Hash of persistedQuery is not that of the query."));
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

/// Returns the hash of Apollo's extension.
fn persisted_query(extensions: Option<&Map<String, Value>>) -> Result<Option<String>, Refusal> {
    let Some(given) = extensions.and_then(|extensions| extensions.get("persistedQuery")) else { return Ok(None) };
    match PersistedQuery::deserialize(given) {
        Ok(query) if query.version == 1 => Ok(Some(query.sha256_hash.to_ascii_lowercase())),
        Ok(_) => Err(Refusal::bad_request("The version of persistedQuery must be 1.")),
        Err(error) => Err(Refusal::bad_request(format!("Invalid persistedQuery: {error}."))),
    }
}

/// Returns the SHA-256 of a text in lower-case hexadecimal.
fn hash_of(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hash, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}
