//! Unfinished multipart uploads. S3 keeps their parts until they are aborted. The library cannot list them, so the request is signed
//! with its key and sent here.

use std::io;
use std::time::Duration;

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};

use super::client::BucketClient;
use super::error::{element, s3_error, unavailable};

/// An unfinished multipart upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Multipart {
    pub path: String,
    pub upload: String,
}

impl BucketClient {
    /// Returns unfinished multipart uploads of objects whose key starts with `key`, at most a page of them.
    pub(super) async fn multiparts(&self, key: &str) -> io::Result<Vec<Multipart>> {
        let prefix = self.path(key).to_string();
        let options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", &*prefix)]);
        let url = self.quick.signed_url_opts(Method::GET, &Path::default(), Duration::from_secs(60), &options).await;
        let url = url.map_err(s3_error)?;
        let lost = |error: reqwest::Error| unavailable(error.without_url().to_string());
        let answer = self.http.get(url).send().await.map_err(lost)?;
        let status = answer.status();
        let text = answer.text().await.map_err(lost)?;
        if status.is_success() {
            return Ok(parse(&text));
        }
        let code = element(&text, "Code").unwrap_or_default();
        Err(unavailable(format!("S3 answered {status} {code} to a list of multipart uploads")))
    }

    /// Aborts all unfinished multipart uploads of objects whose key starts with `key`.
    pub(super) async fn abort_multiparts(&self, key: &str) -> io::Result<()> {
        loop {
            let found = self.multiparts(key).await?;
            if found.is_empty() {
                return Ok(());
            }
            for Multipart { path, upload } in found {
                let path = Path::parse(&path).map_err(io::Error::other)?;
                match self.quick.abort_multipart(&path, &upload).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(s3_error(error)),
                }
            }
        }
    }
}

/// Reads the answer of S3.
fn parse(text: &str) -> Vec<Multipart> {
    let uploads = text.split("<Upload>").skip(1);
    let read = |upload: &str| {
        let (path, upload) = (element(upload, "Key")?, element(upload, "UploadId")?);
        let unescaped = |text: &str| {
            let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
            plain.replace("&amp;", "&")
        };
        Some(Multipart { path: unescaped(path), upload: unescaped(upload) })
    };
    uploads.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_uploads_is_read() {
        let text = "<ListMultipartUploadsResult><Bucket>b</Bucket><Upload><Key>a&amp;b/c</Key><UploadId>1</UploadId></Upload>\
                    <Upload><Key>d</Key><Initiator><ID>x</ID></Initiator><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>";
        let found: Vec<_> = parse(text).into_iter().map(|upload| (upload.path, upload.upload)).collect();
        assert_eq!(found, [("a&b/c".to_owned(), "1".to_owned()), ("d".to_owned(), "2".to_owned())]);
        assert!(parse("<ListMultipartUploadsResult/>").is_empty());
    }
}
