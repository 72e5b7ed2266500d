//! A file at a URL that another node began to import: read from the checkpoint on, without a copy.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::super::spec::FileIdentity;
use super::remote::{RangeSource, RemoteBytes, RemoteFile};
use super::reply::{self, DownloadStart};
use super::transfer::DownloadError;
use crate::lock::lock;
use outbound::{CheckedUrl, Outbound, Reply};

/// A version of a file at a URL.
pub struct RangedUrl {
    outbound: Outbound,
    address: CheckedUrl,
    identity: FileIdentity,
    limit: u64,
    /// The response that opened the file, until something is read: from the start, it is read itself.
    opened: Mutex<Option<Reply>>,
}

impl RangedUrl {
    /// Opens the version `identity` of the file.
    ///
    /// # Errors
    /// A file that changed, or a server that does not respond.
    pub async fn open(
        outbound: &Outbound,
        address: &CheckedUrl,
        identity: &FileIdentity,
        limit: u64,
    ) -> Result<RemoteFile, DownloadError> {
        let (outbound, address, identity) = (outbound.clone(), address.clone(), identity.clone());
        let mut source = RangedUrl { outbound, address, identity, limit, opened: Mutex::default() };
        let size = match source.request(0).await? {
            DownloadStart::Body { reply, size, .. } => {
                source.opened = Mutex::new(Some(reply));
                size.unwrap_or(source.identity.size)
            }
            DownloadStart::Complete => source.identity.size,
        };
        Ok(RemoteFile::new(Box::new(source), size))
    }

    /// Requests the rest of the file. The response is of this version.
    async fn request(&self, from: u64) -> Result<DownloadStart, DownloadError> {
        let start = reply::request(&self.outbound, &self.address, &self.identity, from, self.limit).await?;
        match &start {
            DownloadStart::Body { from: 0, version, .. } if *version != self.identity.version => {
                Err(DownloadError::Permanent(reply::changed()))
            }
            _ => Ok(start),
        }
    }
}

#[async_trait]
impl RangeSource for RangedUrl {
    async fn open(&self, from: u64) -> Result<RemoteBytes, DownloadError> {
        let opened = lock(&self.opened).take();
        if let Some(reply) = opened.filter(|_| from == 0) {
            return Ok(body(reply, 0));
        }
        match self.request(from).await? {
            DownloadStart::Body { reply, from: begin, .. } => Ok(body(reply, from - begin)),
            DownloadStart::Complete => Ok(stream::empty().boxed()),
        }
    }
}

/// Returns the body without its first `skipped` bytes, which a server without ranges sends again.
fn body(reply: Reply, skipped: u64) -> RemoteBytes {
    let next = |(mut reply, mut skipped): (Reply, u64)| async move {
        loop {
            let Some(piece) = reply.chunk().await.map_err(DownloadError::from)? else { return Ok(None) };
            let cut = usize::try_from(skipped).unwrap_or(usize::MAX).min(piece.len());
            skipped -= cut as u64;
            if cut < piece.len() {
                return Ok::<_, DownloadError>(Some((piece.slice(cut..), (reply, skipped))));
            }
        }
    };
    stream::try_unfold((reply, skipped), next).map(|piece: Result<Bytes, _>| piece).boxed()
}
