//! Requests to a bucket: each has a deadline, or ends once nothing moves, and a bounded number of attempts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector, HttpService};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion,
};

use super::availability::BucketAvailability;
use super::error::{RequestFailure, s3_error};
use super::stall_guard::StallGuard;
use crate::config::BucketUrl;

/// Deadline of a request that moves a few KiB. A caller waits for it.
const QUICK: Duration = Duration::from_millis(2_500);

/// Time in which a request that moves a part of a file is repeated. One that hangs lasts longer: a caller waits for it once.
const BULK: Duration = Duration::from_secs(8);

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// A bucket and the prefix of everything in it that is ours. Clones share connections.
#[derive(Clone, Debug)]
pub(super) struct BucketClient {
    /// For small objects, lists and deletions.
    pub quick: Arc<AmazonS3>,
    /// For parts of files: a request takes as long as something moves.
    pub bulk: Arc<AmazonS3>,
    /// For what the library cannot ask.
    pub http: reqwest::Client,
    prefix: Path,
}

/// Outcome of a conditional write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConditionalWrite {
    /// The object has this ETag now.
    Written(String),
    /// The object is another one than expected. If an earlier attempt lost its answer, it may be this one's.
    Changed,
}

impl BucketClient {
    pub(super) fn new(url: &BucketUrl) -> io::Result<BucketClient> {
        let build = |connector: OwnConnector, repeated: Duration, attempts: usize| {
            let retry = RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: repeated / 5,
                    base: 3.0,
                },
                max_retries: attempts - 1,
                retry_timeout: repeated,
            };
            let options = ClientOptions::new().with_allow_http(true);
            let mut builder =
                AmazonS3Builder::new().with_client_options(options).with_http_connector(connector).with_retry(retry);
            for (name, value) in url.variables() {
                // Other programs' AWS_* variables are none of ours.
                if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let built = builder.with_bucket_name(&url.bucket).build();
            io::Result::Ok(Arc::new(built.map_err(s3_error)?))
        };
        let prefix = Path::parse(&url.prefix).map_err(io::Error::other)?;
        let http = http_client()?.timeout(QUICK).build().map_err(io::Error::other)?;
        let bulk = StallGuard(http_client()?.build().map_err(io::Error::other)?);
        let availability = BucketAvailability::new();
        let quick = build(OwnConnector::new(availability.observe(http.clone())), QUICK / 2, 3)?;
        let bulk = build(OwnConnector::new(availability.observe(bulk)), BULK, 8)?;
        Ok(BucketClient { quick, bulk, http, prefix })
    }

    /// Returns the path of a key of ours.
    pub(super) fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Reads a small object with what is known of it. `NotFound` if there is none.
    pub(super) async fn read(&self, key: &str) -> io::Result<(Bytes, ObjectMeta)> {
        let found = self.quick.get_opts(&self.path(key), GetOptions::default()).await.map_err(s3_error)?;
        let meta = found.meta.clone();
        Ok((found.bytes().await.map_err(s3_error)?, meta))
    }

    /// Returns if the bucket answers a request for a small object, which need not exist.
    pub(super) async fn answers(&self, key: &str) -> Result<(), RequestFailure> {
        let found = self.quick.get_opts(&self.path(key), GetOptions::default()).await;
        found.map(drop).or_else(RequestFailure::unless_missing)
    }

    /// Reads a part of a file.
    pub(super) async fn read_part(&self, key: &str) -> io::Result<Bytes> {
        let found = self.bulk.get_opts(&self.path(key), GetOptions::default()).await.map_err(s3_error)?;
        found.bytes().await.map_err(s3_error)
    }

    /// Returns what is known of an object. `NotFound` if there is none.
    pub(super) async fn head(&self, key: &str) -> io::Result<ObjectMeta> {
        self.quick.head(&self.path(key)).await.map_err(s3_error)
    }

    /// Writes an object whose key no other writer uses.
    pub(super) async fn put(&self, key: &str, content: Bytes) -> io::Result<()> {
        self.bulk.put(&self.path(key), content.into()).await.map_err(s3_error)?;
        Ok(())
    }

    /// Writes a small object if there is none (`None`), or in place of the one with this ETag.
    pub(super) async fn write_if(
        &self,
        key: &str,
        content: Bytes,
        expected: Option<String>,
    ) -> io::Result<ConditionalWrite> {
        let mode = match expected {
            None => PutMode::Create,
            Some(tag) => PutMode::Update(UpdateVersion { e_tag: Some(tag), version: None }),
        };
        let written = self.quick.put_opts(&self.path(key), PutPayload::from(content), PutOptions::from(mode)).await;
        match written {
            Ok(written) => Ok(ConditionalWrite::Written(written.e_tag.unwrap_or_default())),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(ConditionalWrite::Changed)
            }
            Err(error) => Err(s3_error(error)),
        }
    }

    /// Lists the objects below a folder, by their keys.
    pub(super) async fn list(&self, folder: &str) -> io::Result<Vec<(String, ObjectMeta)>> {
        let skipped = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        let found = self.quick.list(Some(&self.path(folder)));
        let named = found.map_ok(|meta| (meta.location.as_ref().get(skipped..).unwrap_or_default().to_owned(), meta));
        named.map_err(s3_error).try_collect().await
    }

    /// Lists the folders directly in a folder, by their names.
    pub(super) async fn folders(&self, folder: &str) -> io::Result<Vec<String>> {
        let found = self.quick.list_with_delimiter(Some(&self.path(folder))).await.map_err(s3_error)?;
        Ok(found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Deletes objects, those that are missing included.
    pub(super) async fn delete(&self, keys: Vec<String>) -> io::Result<()> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        let deleted = self.quick.delete_stream(stream::iter(paths).boxed());
        let outcomes: Vec<_> = deleted.collect().await;
        for outcome in outcomes {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(s3_error(error)),
            }
        }
        Ok(())
    }

    /// Deletes everything below a folder.
    pub(super) async fn delete_folder(&self, folder: &str) -> io::Result<()> {
        let found = self.list(folder).await?;
        self.delete(found.into_iter().map(|(key, _)| key).collect()).await
    }
}

/// Gives the library a client of this program.
#[derive(Debug)]
struct OwnConnector(HttpClient);

impl OwnConnector {
    fn new(service: impl HttpService) -> OwnConnector {
        OwnConnector(HttpClient::new(service))
    }
}

impl HttpConnector for OwnConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Returns a client with the certificate authorities of this program. It uses HTTP/1.1, as AWS does: in HTTP/2, an answer that a slow
/// client reads would hold up the others of its connection.
fn http_client() -> io::Result<reqwest::ClientBuilder> {
    let mut tls = outbound::tls_config().map_err(io::Error::other)?;
    tls.alpn_protocols.clear();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().connect_timeout(CONNECT))
}
