//! Conversion between paths and `sqlite:` URLs.
//!
//! The lock file, the store and the datasets parse URLs with [`SqliteUrl::parse`], which follows sqlx: the text between
//! `sqlite:` (or `sqlite://`) and `?` is the path, percent-encoded.

use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// Characters that are percent-encoded: all but those removed here.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// A `sqlite:` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteUrl {
    /// Path of the database file. None for a database in memory.
    pub path: Option<PathBuf>,
    /// Creates the file if it does not exist.
    pub create: bool,
    /// Parameters other than `mode`, and modes other than `rw` and `rwc`.
    pub others: Vec<String>,
}

impl SqliteUrl {
    /// Returns the URL of the file at `path`.
    pub fn from_path(path: &Path) -> String {
        let text = path.to_string_lossy();
        // SQLite itself reads a name that begins with `file:` as a URI.
        let text = if text.starts_with("file:") { format!("./{text}").into() } else { text };
        let encoded = utf8_percent_encode(&text, ENCODED).to_string();
        // An absolute path is normalized by the URL parser, which knows no symbolic links; an opaque one is not.
        let kept_by_parser = path.components().all(|part| part != Component::ParentDir)
            && !["//", "/./"].iter().any(|part| text.contains(part));
        match encoded.strip_prefix('/') {
            Some(rest) if !kept_by_parser => format!("sqlite:%2F{rest}"),
            _ => format!("sqlite:{encoded}"),
        }
    }

    /// Parses a URL like sqlx does. None if it is not a valid `sqlite:` URL.
    pub fn parse(url: &str) -> Option<SqliteUrl> {
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "sqlite")?;
        let text = url.as_str().trim_start_matches("sqlite://").trim_start_matches("sqlite:");
        let (database, parameters) = text.split_once('?').unwrap_or((text, ""));
        let path = percent_decode_str(database).decode_utf8().ok()?.into_owned();
        let pairs: Vec<_> = url::form_urlencoded::parse(parameters.as_bytes()).collect();
        let has = |mode| pairs.iter().any(|(name, value)| name == "mode" && value == mode);
        let in_memory = path.is_empty() || database == ":memory:" || has("memory");
        let others = pairs.iter().filter(|(name, value)| name != "mode" || !["rw", "rwc"].contains(&&**value));
        Some(SqliteUrl {
            path: (!in_memory).then(|| PathBuf::from(path)),
            // Without parameters the store adds `mode=rwc`.
            create: !text.contains('?') || has("rwc"),
            others: others.map(|(name, value)| format!("{name}={value}")).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_conversion_to_a_url_and_back() {
        let paths = [
            "./pausa-data/pausa.db",
            "pausa.db",
            "/var/lib/pausa/pausa.db",
            "/a%20b/pausa.db",
            "/100%/pausa.db",
            "/what?/pausa.db",
            "/a#b/pausa.db",
            "/with space/pausa.db",
            " /leading/pausa.db",
            "/für/データ/pausa.db",
            "/a/../b/pausa.db",
            "/a/./b/pausa.db",
            "//a//b/pausa.db",
            "../up/pausa.db",
            "/a&mode=memory/pausa.db",
            "/tab\there/pausa.db",
            "/back\\slash/pausa.db",
            "sqlite:x/pausa.db",
            "C:/pausa.db",
            "/:memory:/pausa.db",
            "/quote\"'/<>`{}|^/pausa.db",
            "?mode=ro/pausa.db",
            "/%3F/pausa.db",
        ];
        for path in paths {
            let url = SqliteUrl::from_path(Path::new(path));
            let read = SqliteUrl::parse(&url).unwrap();
            assert_eq!(read.path.as_deref(), Some(Path::new(path)), "{url}");
            assert!(read.create && read.others.is_empty(), "{url}");
        }
        assert_eq!(SqliteUrl::from_path(Path::new("file:x")), "sqlite:./file%3Ax");
        assert_eq!(SqliteUrl::from_path(Path::new("./pausa-data/pausa.db")), "sqlite:./pausa-data/pausa.db");
        assert_eq!(SqliteUrl::from_path(Path::new("/var/lib/pausa.db")), "sqlite:/var/lib/pausa.db");
    }

    #[test]
    fn parameters_are_parsed_and_never_part_of_the_path() {
        let read = |url| SqliteUrl::parse(url).unwrap();
        assert_eq!(read("sqlite:///tmp/x.db?mode=rw").path, Some(PathBuf::from("/tmp/x.db")));
        assert!(!read("sqlite:///tmp/x.db?mode=rw").create && read("sqlite:///tmp/x.db?mode=rwc").create);
        assert_eq!(read("sqlite:/tmp/x.db?mode=ro&cache=shared").others, ["mode=ro", "cache=shared"]);
        for memory in ["sqlite::memory:", "sqlite:", "sqlite:x.db?mode=memory"] {
            assert_eq!(read(memory).path, None, "{memory}");
        }
        assert_eq!(SqliteUrl::parse("postgres://db/pausa"), None);
    }
}
