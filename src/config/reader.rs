//! Typed access to settings. An invalid value is refused with the allowed values.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;
use toml::Value;

use super::{BucketUrl, ConfigError, EventTransport, Layers, RedisUrl, Secret, SqliteUrl, Url};

/// Path for traces below a collector's address (OTLP/HTTP).
const TRACES: &str = "/v1/traces";

/// Typed access to settings by name.
pub struct SettingReader(pub Layers);

impl SettingReader {
    pub fn refuse<T>(&self, name: &str, allowed: impl Into<String>) -> Result<T, ConfigError> {
        let found = self.0.get(name)?;
        let value = match &found.value {
            Value::String(text) => format!("{:?}", Url(text.clone())),
            other => other.to_string(),
        };
        Err(ConfigError::Value { name: name.to_owned(), value, from: found.from.clone(), allowed: allowed.into() })
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match &self.0.get(name)?.value {
            Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            _ => self.refuse(name, "a string"),
        }
    }

    pub fn some_text(&self, name: &str, allowed: &str) -> Result<String, ConfigError> {
        self.text(name)?.map_or_else(|| self.refuse(name, allowed), Ok)
    }

    pub fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(name)?.unwrap_or_default();
        Ok(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }

    /// Returns webhook keys: `whsec_` and base64, separated by commas.
    pub fn secrets(&self, name: &str) -> Result<Vec<Secret>, ConfigError> {
        let mut secrets = Vec::new();
        for text in self.list(name)? {
            let key = text.strip_prefix("whsec_").and_then(|key| BASE64.decode(key).ok());
            match key.filter(|key| (24..=64).contains(&key.len())) {
                Some(key) => secrets.push(Secret(key)),
                None => {
                    let allowed = "whsec_ and 24 to 64 bytes in base64, or several of these separated by commas";
                    let from = self.0.get(name)?.from.clone();
                    let (name, value) = (name.to_owned(), "…".to_owned());
                    return Err(ConfigError::Value { name, value, from, allowed: allowed.to_owned() });
                }
            }
        }
        Ok(secrets)
    }

    pub fn parsed<T: std::str::FromStr>(&self, name: &str, allowed: &str) -> Result<T, ConfigError> {
        self.some_text(name, allowed)?.parse().or_else(|_| self.refuse(name, allowed))
    }

    pub fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.0.get(name)?.value {
            Value::Boolean(flag) => Ok(flag),
            _ => self.refuse(name, "true or false"),
        }
    }

    pub fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<i64, ConfigError> {
        match self.0.get(name)?.value {
            Value::Integer(n) if range.contains(&n) => Ok(n),
            _ => self.refuse(name, format!("a whole number from {} to {}", range.start(), range.end())),
        }
    }

    pub fn count(&self, name: &str, range: RangeInclusive<i64>) -> Result<usize, ConfigError> {
        Ok(usize::try_from(self.integer(name, range)?).unwrap_or(usize::MAX))
    }

    pub fn seconds(&self, name: &str, range: RangeInclusive<f64>) -> Result<Duration, ConfigError> {
        let seconds = match self.0.get(name)?.value {
            Value::Integer(n) => f64::from(i32::try_from(n).unwrap_or(i32::MAX)),
            Value::Float(n) => n,
            _ => f64::NAN,
        };
        if range.contains(&seconds) {
            return Ok(Duration::from_secs_f64(seconds));
        }
        self.refuse(name, format!("seconds from {} to {}", range.start(), range.end()))
    }

    pub fn one_of<T: Copy>(&self, name: &str, values: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(name)?;
        let names: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        match values.iter().find(|(value, _)| text.as_deref() == Some(value)) {
            Some((_, value)) => Ok(*value),
            None => self.refuse(name, format!("one of {}", names.join(", "))),
        }
    }

    pub fn url(&self, name: &str) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let known = ["sqlite:", "postgres://", "postgresql://"];
        let readable = !text.starts_with("sqlite:") || SqliteUrl::parse(&text).is_some();
        if known.iter().any(|scheme| text.starts_with(scheme)) && readable {
            return Ok(Some(Url(text)));
        }
        self.refuse(name, "sqlite:PATH (percent-encoded) or postgres://USER:PASSWORD@HOST/DATABASE")
    }

    /// Returns the URL of Redis.
    pub fn redis_url(&self, name: &str) -> Result<Option<RedisUrl>, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        RedisUrl::parse(&text).map(Some).or_else(|expected| self.refuse(name, expected))
    }

    /// Returns what carries events between nodes.
    pub fn events(&self) -> Result<EventTransport, ConfigError> {
        let redis = self.redis_url("redis_url")?;
        let auto = if redis.is_some() { EventTransport::Redis } else { EventTransport::Postgres };
        let known = [
            ("auto", auto),
            ("postgres", EventTransport::Postgres),
            ("redis", EventTransport::Redis),
            ("poll", EventTransport::Poll),
        ];
        match (self.one_of("events", &known)?, redis) {
            (EventTransport::Redis, None) => self.refuse("events", "another value, or redis_url to be set"),
            (transport, _) => Ok(transport),
        }
    }

    /// Refuses SQLite datasets beside a PostgreSQL store.
    pub fn check_datasets(&self) -> Result<(), ConfigError> {
        let (store, datasets) = (self.url("database_url")?, self.url("datasets_url")?);
        let is_shared = store.is_some_and(|url| !url.is_sqlite());
        if is_shared && datasets.is_some_and(|url| url.is_sqlite()) {
            let allowed = "postgres://…, or nothing for the task store's PostgreSQL: other nodes cannot read SQLite files of this one";
            return self.refuse("datasets_url", allowed);
        }
        Ok(())
    }

    /// Returns the URL for traces: the collector's address with OTLP's path for traces.
    pub fn otlp_endpoint(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let fits = |url: &url::Url| {
            let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
            matches!(url.scheme(), "http" | "https") && bare && url.fragment().is_none()
        };
        let Some(url) = url::Url::parse(&text).ok().filter(fits) else {
            return self.refuse(name, "http://HOST:PORT or https://HOST:PORT, without a user name or a query");
        };
        let path = url.as_str().trim_end_matches('/');
        Ok(Some(if path.ends_with(TRACES) { path.to_owned() } else { format!("{path}{TRACES}") }))
    }

    /// Returns the folder or the bucket for files. `aws` are the AWS_* variables.
    pub fn files_url(&self, aws: Vec<(String, String)>) -> Result<(Option<PathBuf>, Option<BucketUrl>), ConfigError> {
        let Some(text) = self.text("files_url")? else { return Ok((None, None)) };
        if let Some(bucket) = BucketUrl::parse(&text) {
            return Ok((None, Some(bucket.with_variables(aws))));
        }
        let path = text.strip_prefix("file://").filter(|path| path.starts_with('/') && !path.contains(['?', '#']));
        match path.and_then(|path| percent_decode_str(path).decode_utf8().ok()) {
            Some(path) if !path.contains('\0') => Ok((Some(PathBuf::from(&*path)), None)),
            _ => self.refuse(
                "files_url",
                "file:///PATH, with %25, %3F and %23 for the characters %, ? and #, or s3://BUCKET/PREFIX, with letters, \
                 digits, \"-\", \".\" and \"_\" and the keys in AWS_* variables",
            ),
        }
    }

    /// Returns true if downloads come from the bucket itself.
    pub fn files_presigned(&self, has_bucket: bool) -> Result<bool, ConfigError> {
        match self.flag("files_presigned")? {
            true if !has_bucket => self.refuse("files_presigned", "false, or files_url = s3://BUCKET/PREFIX"),
            flag => Ok(flag),
        }
    }
}
