//! A cache by texts. The least recently used entries make room for new ones.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// A cache whose entries take at most so many bytes.
pub struct TextCache<V> {
    limit: usize,
    entries: Mutex<Entries<V>>,
}

struct Entries<V> {
    by_text: HashMap<Arc<str>, Entry<V>>,
    /// The texts, by the time of their last use.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    bytes: usize,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    last_use: u64,
}

impl<V: Clone> TextCache<V> {
    /// Creates an empty cache for entries of `limit` bytes together.
    pub fn new(limit: usize) -> Self {
        let entries = Entries { by_text: HashMap::new(), by_use: BTreeMap::new(), uses: 0, bytes: 0 };
        Self { limit, entries: Mutex::new(entries) }
    }

    /// Returns the entry of this text.
    pub fn get(&self, text: &str) -> Option<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { by_text, by_use, uses, .. } = &mut *entries;
        let entry = by_text.get_mut(text)?;
        let text = by_use.remove(&entry.last_use)?;
        *uses += 1;
        entry.last_use = *uses;
        by_use.insert(*uses, text);
        Some(entry.value.clone())
    }

    /// Adds an entry of so many bytes, and removes the least recently used ones while they exceed the limit.
    pub fn insert(&self, text: &str, value: V, bytes: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > self.limit || entries.by_text.contains_key(text) {
            return;
        }
        let text: Arc<str> = text.into();
        entries.uses += 1;
        entries.bytes += bytes;
        let last_use = entries.uses;
        entries.by_use.insert(last_use, Arc::clone(&text));
        entries.by_text.insert(text, Entry { value, bytes, last_use });
        while entries.bytes > self.limit {
            let Some((_, text)) = entries.by_use.pop_first() else { return };
            let removed = entries.by_text.remove(&text);
            entries.bytes -= removed.map_or(0, |entry| entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entries_make_room() {
        let cache = TextCache::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 2, 4);
        assert_eq!(cache.get("a"), Some(1));
        cache.insert("c", 3, 4);
        assert_eq!((cache.get("a"), cache.get("b"), cache.get("c")), (Some(1), None, Some(3)));
        cache.insert("d", 4, 11);
        assert_eq!(cache.get("d"), None);
        cache.insert("e", 5, 10);
        assert_eq!((cache.get("a"), cache.get("c"), cache.get("e")), (None, None, Some(5)));
    }
}
