//! The URL of a bucket: `s3://BUCKET/PREFIX`, with the AWS_* variables for its address and credentials.

use std::fmt;

/// A bucket of S3, or of a store that speaks its protocol. Its keys are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketUrl {
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of all keys, without a slash at its ends. May be empty.
    pub prefix: String,
    variables: Vec<(String, String)>,
}

impl BucketUrl {
    /// Reads a URL. None if it is something else.
    pub fn parse(text: &str) -> Option<BucketUrl> {
        let (bucket, prefix) = text.strip_prefix("s3://")?.split_once('/').unwrap_or((text.strip_prefix("s3://")?, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_part = |part: &str| !part.is_empty() && part.chars().all(plain) && part != "." && part != "..";
        let prefix = prefix.trim_end_matches('/');
        let fits = is_part(bucket) && (prefix.is_empty() || prefix.split('/').all(is_part));
        fits.then(|| BucketUrl { bucket: bucket.to_owned(), prefix: prefix.to_owned(), variables: Vec::new() })
    }

    /// Adds the AWS_* variables.
    pub fn with_variables(self, variables: Vec<(String, String)>) -> BucketUrl {
        BucketUrl { variables, ..self }
    }

    /// Returns the AWS_* variables, keys included.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    fn endpoint(&self) -> Option<&str> {
        let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
        let value = |name: &&str| self.variables.iter().find(|(known, value)| known == name && !value.is_empty());
        let (_, value) = names.iter().find_map(value)?;
        // A user name and a password are no part of an address.
        Some(value.rsplit_once('@').map_or(value.as_str(), |(_, host)| host))
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)?;
        self.endpoint().map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
    }
}

impl fmt::Debug for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigError};

    #[test]
    fn a_bucket_and_a_prefix_are_read() {
        let read = |text: &str| BucketUrl::parse(text).map(|url| (url.bucket, url.prefix));
        let url = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(read("s3://files"), url("files", ""));
        assert_eq!(read("s3://files/"), url("files", ""));
        assert_eq!(read("s3://files/a/b.c/"), url("files", "a/b.c"));
        for wrong in
            ["s3://", "s3:///a", "s3://a//b", "s3://a/../b", "s3://a/b?c", "s3://me:secret@a/b", "file:///a", "s3:a"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_are_never_shown() {
        let variables = [
            ("AWS_ENDPOINT_URL", "http://me:hunter2@127.0.0.1:9000"),
            ("AWS_ACCESS_KEY_ID", "AKIA123"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let url = BucketUrl::parse("s3://files/a").unwrap().with_variables(variables);
        assert_eq!(format!("{url:?}"), "s3://files/a at 127.0.0.1:9000");
        assert_eq!(url.variables().len(), 3);
    }

    fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::load(None, variables.iter().map(owned), &[])
    }

    #[test]
    fn files_may_be_in_a_bucket_whose_keys_are_hidden() {
        let bucket = [
            ("PAUSA_FILES_URL", "s3://files/a"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("PAUSA_FILES_PRESIGNED", "true"),
        ];
        let config = load(&bucket).unwrap();
        assert!(config.files_presigned && config.files_dir.is_none());
        assert_eq!(config.files_bucket.as_ref().unwrap().variables().len(), 1);
        assert!(!format!("{config:?}").contains("hunter2"));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"hunter3\n").unwrap();
        let named = ("AWS_SECRET_ACCESS_KEY_FILE", file.path().to_str().unwrap());
        let config = load(&[bucket[0], named]).unwrap();
        let key = ("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter3".to_owned());
        assert_eq!(config.files_bucket.unwrap().variables(), [key]);
        assert!(load(&[bucket[0], bucket[1], named]).unwrap_err().to_string().contains("set one of them"));
        let error = load(&bucket[1..]).unwrap_err().to_string();
        assert!(error.contains("files_presigned = true") && error.contains("s3://"), "{error}");
        let error = load(&[("PAUSA_FILES_URL", "s3://me:hunter2@files/a")]).unwrap_err().to_string();
        assert!(error.contains("s3://BUCKET/PREFIX") && !error.contains("hunter2"), "{error}");
    }
}
