//! The S3 store of docker-compose.yml as a process: the same arguments, keys and script for the bucket.

use pausa::config::BucketUrl;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::compose::make_secrets;
use super::manifests::{documents, file};
use super::topology::arguments;
use crate::harness::seaweedfs::SeaweedFs;

/// The bucket.
const BUCKET: &str = "pausa";

/// A running store with its bucket.
pub struct Objects {
    /// The store.
    pub store: SeaweedFs,
    keys: [String; 2],
}

impl Objects {
    /// Starts the store that a service describes, with the keys in the folder `secrets`.
    pub async fn start(service: &Value, secrets: &str) -> Objects {
        let store = SeaweedFs::start(&arguments(service, secrets)).await;
        for _ in ["the first start", "another start"] {
            store.run(&file("deploy/compose/make-bucket.sh")).await;
        }
        let read = |name| std::fs::read_to_string(format!("{secrets}/{name}")).unwrap().trim().to_owned();
        Objects { store, keys: ["s3_access_key", "s3_secret_key"].map(read) }
    }

    /// Returns the store that the tests of this process share.
    pub async fn shared() -> &'static Objects {
        static SHARED: OnceCell<Objects> = OnceCell::const_new();
        let start = async || {
            let folder = tempfile::tempdir().unwrap();
            let secrets = make_secrets(folder.path());
            Objects::start(&documents(&["docker-compose.yml"])[0]["services"]["s3"], &secrets).await
        };
        SHARED.get_or_init(start).await
    }

    /// Returns the address.
    pub fn endpoint(&self) -> &str {
        &self.store.url
    }

    /// Returns the URL of a prefix in the bucket, with the variables of a node.
    pub fn url(&self, prefix: &str) -> BucketUrl {
        let [access, secret] = &self.keys;
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", access),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        BucketUrl::parse(&format!("s3://{BUCKET}/{prefix}")).unwrap().with_variables(variables.to_vec())
    }

    /// Returns the keys of all objects and of all unfinished multipart uploads below a folder, or in the bucket.
    pub async fn keys(&self, folder: &str) -> Vec<String> {
        self.store.keys(BUCKET, &self.keys, folder).await
    }
}
