//! Checks at the start that the files belong to the task store: both have the same random ID.

use std::time::Duration;

use crate::clock::Clock;
use crate::files::BlobStore;
use crate::retry::retry_within;
use crate::store::{self, Store};

/// Name of the fact in the store.
const FACT: &str = "files";

/// Time that another node has to record the ID in both places.
const FIRST_START: Duration = Duration::from_secs(2);

/// Reason for which the files are not used.
#[derive(Debug, thiserror::Error)]
pub enum ForeignFiles {
    /// The store knows an ID, and the files have none.
    #[error(
        "the files do not belong to the task store: {place} is missing, and the store expects it with the ID {id}. Set \
         PAUSA_FILES_URL to that of the other nodes, or mount it. If the files are permanently lost, create {place} with that ID; \
         tasks make their files again or fail"
    )]
    Missing {
        /// Expected place of the ID.
        place: String,
        /// The ID in the store.
        id: String,
    },
    /// The files have another ID.
    #[error(
        "the files belong to another task store: {place} has the ID {found}, and this store expects {id}. Set PAUSA_FILES_URL \
         and PAUSA_DATABASE_URL to what the other nodes use"
    )]
    Other {
        /// Place of the ID.
        place: String,
        /// The ID there.
        found: String,
        /// The ID in the store.
        id: String,
    },
    /// The files have an ID, and the store is new.
    #[error(
        "the files belong to another task store: {place} has the ID {found}, and this store is new. Use the store of these \
         files, or other files. If that store is gone, delete {place} and start again"
    )]
    NewStore {
        /// Place of the ID.
        place: String,
        /// The ID there.
        found: String,
    },
    /// The ID cannot be read or written.
    #[error("{place} cannot be read or written: {cause}")]
    Unreadable {
        /// Expected place of the ID.
        place: String,
        /// Cause.
        cause: std::io::Error,
    },
    /// The task store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Checks the ID, and records it in both places at the first start.
///
/// # Errors
/// The files belong to another store, or the store to other files.
pub(super) async fn check(store: &Store, blobs: &dyn BlobStore, clock: &Clock) -> Result<(), ForeignFiles> {
    // Another node may be at its first start, between the two places.
    let passes = |error: &ForeignFiles| matches!(error, ForeignFiles::Missing { .. } | ForeignFiles::NewStore { .. });
    match retry_within(FIRST_START, || compare(store, blobs, clock), passes).await {
        Some(outcome) => outcome,
        None => compare(store, blobs, clock).await,
    }
}

async fn compare(store: &Store, blobs: &dyn BlobStore, clock: &Clock) -> Result<(), ForeignFiles> {
    let place = blobs.identity_place();
    let unreadable = |cause| ForeignFiles::Unreadable { place: blobs.identity_place(), cause };
    let found = blobs.identity().await.map_err(unreadable)?;
    match (store.fact(FACT).await?, found) {
        (Some(id), Some(found)) if id == found => Ok(()),
        (Some(id), Some(found)) => Err(ForeignFiles::Other { place, found, id }),
        (Some(id), None) => Err(ForeignFiles::Missing { place, id }),
        (None, Some(found)) if store.is_empty().await? => Err(ForeignFiles::NewStore { place, found }),
        (None, Some(found)) => record(store, place, found).await,
        (None, None) => {
            let new = clock.uuid().to_string();
            let found = blobs.claim_identity(&new).await.map_err(unreadable)?;
            record(store, place, found).await
        }
    }
}

async fn record(store: &Store, place: String, found: String) -> Result<(), ForeignFiles> {
    let id = store.record_fact(FACT, &found).await?;
    if id == found { Ok(()) } else { Err(ForeignFiles::Other { place, found, id }) }
}
