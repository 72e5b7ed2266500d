//! A cache of valid documents. The least recently used ones make room for new ones.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::Document;

/// Size of a parsed document, for each byte of its text. An estimate: a field of ten bytes becomes nodes of some 400 bytes.
const PARSED_BYTES: usize = 40;

/// Size of an entry besides its document, in bytes.
const ENTRY_BYTES: usize = 500;

/// A cache whose documents take at most so many bytes.
pub struct DocumentCache {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_text: HashMap<Arc<str>, Entry>,
    /// The texts, by the time of their last use.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    bytes: usize,
}

struct Entry {
    document: Arc<Document>,
    last_use: u64,
}

impl DocumentCache {
    /// Creates an empty cache for documents of `limit` bytes together.
    pub fn new(limit: usize) -> Self {
        Self { limit, entries: Mutex::default() }
    }

    /// Returns the document with this text.
    pub fn get(&self, text: &str) -> Option<Arc<Document>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { by_text, by_use, uses, .. } = &mut *entries;
        let entry = by_text.get_mut(text)?;
        let text = by_use.remove(&entry.last_use)?;
        *uses += 1;
        entry.last_use = *uses;
        by_use.insert(*uses, text);
        Some(Arc::clone(&entry.document))
    }

    /// Adds a document, and removes the least recently used ones while they exceed the limit.
    pub fn insert(&self, text: &str, document: Arc<Document>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if size(text) > self.limit || entries.by_text.contains_key(text) {
            return;
        }
        let text: Arc<str> = text.into();
        entries.uses += 1;
        entries.bytes += size(&text);
        let last_use = entries.uses;
        entries.by_use.insert(last_use, Arc::clone(&text));
        entries.by_text.insert(text, Entry { document, last_use });
        while entries.bytes > self.limit {
            let Some((_, text)) = entries.by_use.pop_first() else { return };
            entries.by_text.remove(&text);
            entries.bytes -= size(&text);
        }
    }
}

/// Estimates the bytes of a document with this text.
fn size(text: &str) -> usize {
    ENTRY_BYTES + text.len() * (1 + PARSED_BYTES)
}
