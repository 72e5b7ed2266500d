//! The list of persisted documents.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Prefix of an ID that is the SHA-256 of its document.
pub const SHA256: &str = "sha256:";

/// A file of persisted documents is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// It is not JSON.
    #[error("it is not valid JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// Its JSON has another form.
    #[error(
        "it must be a JSON object of IDs and documents, or one with a list `operations` of objects with `id` and `body`"
    )]
    Form,
    /// An ID names two documents.
    #[error("the ID \"{0}\" occurs twice, with different documents")]
    Repeated(String),
    /// An ID is not the hash of its document.
    #[error("the ID \"{id}\" is not the hash of its document, which is {hash}")]
    Hash {
        /// The ID.
        id: String,
        /// The hash of the document.
        hash: String,
    },
}

/// Documents that were registered before, by their IDs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PersistedDocuments {
    by_id: HashMap<String, Arc<str>>,
    texts: HashSet<Arc<str>>,
}

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

impl fmt::Debug for PersistedDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} documents", self.by_id.len())
    }
}

impl PersistedDocuments {
    /// Reads a JSON object of IDs and documents, as Relay's compiler writes it, or a manifest as Apollo's tools write it. An ID
    /// that begins with `sha256:` must be the hash of its document.
    ///
    /// # Errors
    /// The JSON is neither, or an ID does not fit its document.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidManifest> {
        let json: Value = serde_json::from_slice(json).map_err(InvalidManifest::Syntax)?;
        let mut documents = Self::default();
        match Manifest::deserialize(json).map_err(|_| InvalidManifest::Form)? {
            Manifest::Map(known) => known.into_iter().try_for_each(|(id, text)| documents.add(id, &text))?,
            Manifest::Apollo { operations } => {
                operations.into_iter().try_for_each(|known| documents.add(known.id, &known.body))?;
            }
        }
        Ok(documents)
    }

    fn add(&mut self, id: String, text: &str) -> Result<(), InvalidManifest> {
        if let Some(expected) = id.strip_prefix(SHA256) {
            let hash = hash_of(text);
            if hash != expected {
                return Err(InvalidManifest::Hash { id, hash });
            }
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        match self.by_id.insert(id.clone(), Arc::clone(&text)) {
            Some(other) if other != text => Err(InvalidManifest::Repeated(id)),
            _ => Ok(()),
        }
    }

    /// Returns all documents with their IDs, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_id.iter().map(|(id, text)| (id.as_str(), text.as_ref()))
    }

    /// Returns true if the list has a document with this text.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Returns the document with an ID. A hash may have the prefix `sha256:` in the request, in the file or in neither.
    pub(crate) fn get(&self, id: &str) -> Option<&str> {
        let bare = id.strip_prefix(SHA256).unwrap_or(id);
        let text = self.by_id.get(id).or_else(|| self.by_id.get(bare));
        text.or_else(|| self.by_id.get(&format!("{SHA256}{bare}"))).map(AsRef::as_ref)
    }
}

/// Returns the SHA-256 of a text in lower-case hexadecimal.
pub fn hash_of(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hash, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}
