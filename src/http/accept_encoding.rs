//! Content codings that a client accepts (RFC 9110, 12.5.3).

use axum::http::header::{ACCEPT_ENCODING, HeaderMap};
use axum::http::{HeaderName, HeaderValue};

/// A content coding for responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `zstd`.
    Zstd,
    /// `gzip`.
    Gzip,
}

impl Coding {
    /// Returns the name in headers.
    pub fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        })
    }

    /// Returns the coding that a client prefers: the one with the highest weight, and Zstandard if both have the same. None if
    /// it names neither, or prefers none.
    pub fn preferred(request: &HeaderMap) -> Option<Coding> {
        let (zstd, gzip) = (weight(request, &["zstd"]), weight(request, &["gzip", "x-gzip"]));
        let (coding, weight) = if zstd >= gzip { (Coding::Zstd, zstd) } else { (Coding::Gzip, gzip) };
        (weight > 0.0 && weight >= named_weight(request, "identity").unwrap_or(0.0)).then_some(coding)
    }
}

/// Returns true if the client takes gzip. Without the header it takes every coding.
pub fn accepts_gzip(request: &HeaderMap) -> bool {
    !request.contains_key(ACCEPT_ENCODING) || weight(request, &["gzip", "x-gzip"]) > 0.0
}

/// Returns the weight of a coding with these names, from 0 to 1. Its own name takes precedence over `*`.
fn weight(request: &HeaderMap, names: &[&str]) -> f32 {
    let named = names.iter().find_map(|name| named_weight(request, name));
    named.or_else(|| named_weight(request, "*")).unwrap_or(0.0)
}

fn named_weight(request: &HeaderMap, name: &str) -> Option<f32> {
    list_entries(request, ACCEPT_ENCODING).find_map(|entry| weight_of(entry, name))
}

/// Returns the weight of `entry`, such as `gzip;q=0.5`, if it names `coding`. An invalid weight counts as 0.
fn weight_of(entry: &str, coding: &str) -> Option<f32> {
    let (name, rest) = entry.split_once(';').unwrap_or((entry, "q=1"));
    let weight = rest.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
    name.trim().eq_ignore_ascii_case(coding).then(|| weight.parse().unwrap_or(0.0))
}

/// Returns the entries of a header that is a list, also of several lines.
pub fn list_entries(request: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = request.get_all(name).into_iter().collect::<Vec<_>>().into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_with_the_highest_weight_is_preferred() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip", Some(Coding::Gzip)),
            ("zstd;q=0.5, GZIP;q=0.8", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Coding::Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.2, gzip;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
            ("identity", None),
            ("br", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(Coding::preferred(&headers), expected, "{accepted}");
        }
        assert_eq!(Coding::preferred(&HeaderMap::new()), None);
    }
}
