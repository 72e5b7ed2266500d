//! Reads what the fields of a page request at the same time with one call.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::mem;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::error::Result;
use crate::datasets::DatasetName;
use crate::lock::lock;
use crate::store::QueuePlace;

/// The reads that fields of one request share.
#[derive(Default)]
pub struct Loaders {
    /// Names of server nodes, by ID.
    pub node_names: Loader<String, String>,
    /// Numbers of the tasks that will be claimed before a queued one.
    pub queue_positions: Loader<QueuePlace, u64>,
    /// Bytes of datasets.
    pub dataset_sizes: Loader<DatasetName, u64>,
}

/// Collects the keys that the fields of one request ask for, and reads them together.
pub struct Loader<K, V>(Arc<Mutex<Waiting<K, V>>>);

/// The outcome of one read, for all fields that asked for it.
type Found<K, V> = Shared<BoxFuture<'static, Result<Arc<HashMap<K, V>>>>>;

/// The keys of the next read, and the read.
struct Waiting<K, V> {
    keys: HashSet<K>,
    read: Option<Found<K, V>>,
}

impl<K, V> Default for Loader<K, V> {
    fn default() -> Loader<K, V> {
        Loader(Arc::new(Mutex::new(Waiting { keys: HashSet::new(), read: None })))
    }
}

impl<K, V> Loader<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns the value of a key, read by the `read` of the first field that asks. None if it found none.
    ///
    /// # Errors
    /// The error of the read.
    pub async fn load<F>(&self, key: K, read: impl FnOnce(Vec<K>) -> F + Send + 'static) -> Result<Option<V>>
    where
        F: Future<Output = Result<HashMap<K, V>>> + Send,
    {
        let found = self.join(key.clone(), read).await?;
        Ok(found.get(&key).cloned())
    }

    fn join<F>(&self, key: K, read: impl FnOnce(Vec<K>) -> F + Send + 'static) -> Found<K, V>
    where
        F: Future<Output = Result<HashMap<K, V>>> + Send,
    {
        let all = Arc::clone(&self.0);
        let mut waiting = lock(&self.0);
        waiting.keys.insert(key);
        let begin = || async move { Ok(Arc::new(read(collect(&all).await).await?)) }.boxed().shared();
        waiting.read.get_or_insert_with(begin).clone()
    }
}

/// Waits until no more fields ask for a key, and takes the keys.
async fn collect<K, V>(all: &Mutex<Waiting<K, V>>) -> Vec<K> {
    let mut before = 0;
    loop {
        {
            let mut waiting = lock(all);
            if waiting.keys.len() == before {
                waiting.read = None;
                return mem::take(&mut waiting.keys).into_iter().collect();
            }
            before = waiting.keys.len();
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_is_requested_at_the_same_time_is_read_at_once() {
        let (loader, reads) = (Loader::default(), Arc::new(AtomicUsize::new(0)));
        let load = |key: u32| {
            let reads = Arc::clone(&reads);
            loader.load(key, async move |keys: Vec<u32>| {
                reads.fetch_add(1, Ordering::Relaxed);
                Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key * 10)).collect())
            })
        };
        let found = futures_util::future::try_join_all((0..500).map(load)).await.unwrap();
        let wanted: Vec<_> = (0..500).map(|key| (key % 2 == 0).then_some(key * 10)).collect();
        assert_eq!((found, reads.load(Ordering::Relaxed)), (wanted, 1));
        assert_eq!((load(2).await.unwrap(), reads.load(Ordering::Relaxed)), (Some(20), 2), "a later field reads again");
    }
}
