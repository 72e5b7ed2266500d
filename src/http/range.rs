//! Range requests and conditional requests (RFC 9110, 13 and 14).

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, Method, header};

/// Content to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedContent {
    /// The complete file.
    Whole,
    /// One range of bytes.
    Part(RangeInclusive<u64>),
    /// Several ranges, in the order of the request.
    Parts(Vec<RangeInclusive<u64>>),
    /// None: the client has the file (304).
    NotModified,
    /// None: If-Match names another content (412).
    Changed,
    /// None: the file has no byte in the ranges (416).
    Unsatisfiable,
}

/// Returns the content that a request for a file of `size` bytes with the strong ETag `tag` gets. Range applies to GET only. A request
/// with more than `max_ranges` gets the complete file.
pub fn requested_content(
    method: &Method,
    headers: &HeaderMap,
    tag: &str,
    size: u64,
    max_ranges: usize,
) -> RequestedContent {
    // If-Match and If-Range compare strongly: a weak tag (`W/`) never matches (8.8.3.2).
    if tags(headers, header::IF_MATCH).is_some_and(|mut tags| !tags.any(|known| known == "*" || known == tag)) {
        return RequestedContent::Changed;
    }
    let known = |known: &str| known == "*" || known.trim_start_matches("W/") == tag;
    if tags(headers, header::IF_NONE_MATCH).is_some_and(|mut tags| tags.any(known)) {
        return RequestedContent::NotModified;
    }
    let same = text(headers, header::IF_RANGE).is_none_or(|condition| condition.trim() == tag);
    match text(headers, header::RANGE).filter(|_| same && method == Method::GET).and_then(in_bytes) {
        Some(ranges) => parse_ranges(ranges, size, max_ranges),
        None => RequestedContent::Whole,
    }
}

/// Returns the ranges if their unit is bytes. The unit is case-insensitive.
fn in_bytes(range: &str) -> Option<&str> {
    let (unit, ranges) = range.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(ranges)
}

/// Leaves out ranges beyond the end. Ignores the header (complete file) if a range is malformed, if the ranges have more bytes than
/// the file, or if there are too many of them (14.2).
fn parse_ranges(ranges: &str, size: u64, max_ranges: usize) -> RequestedContent {
    let named: Vec<_> = ranges.split(',').map(str::trim).filter(|range| !range.is_empty()).collect();
    let Some(bounds) = named.iter().map(|range| parse_range(range, size)).collect::<Option<Vec<_>>>() else {
        return RequestedContent::Whole;
    };
    if bounds.is_empty() || bounds.len() > max_ranges || size == 0 && bounds.contains(&ByteBounds::Empty) {
        return RequestedContent::Whole;
    }
    let mut inside: Vec<_> = bounds.into_iter().filter_map(ByteBounds::inside).collect();
    let bytes = inside.iter().fold(0_u64, |sum, part| sum.saturating_add(part.end() - part.start() + 1));
    match inside.len() {
        0 => RequestedContent::Unsatisfiable,
        1 => RequestedContent::Part(inside.remove(0)),
        _ if bytes > size => RequestedContent::Whole,
        _ => RequestedContent::Parts(inside),
    }
}

/// Position of a well-formed range.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ByteBounds {
    Inside(RangeInclusive<u64>),
    /// The last bytes of an empty file: satisfiable, but Content-Range cannot express it.
    Empty,
    Beyond,
}

impl ByteBounds {
    fn inside(self) -> Option<RangeInclusive<u64>> {
        if let ByteBounds::Inside(range) = self { Some(range) } else { None }
    }
}

/// Parses `from-to`, `from-` or `-count`. `None` if it is malformed.
fn parse_range(range: &str, size: u64) -> Option<ByteBounds> {
    let (from, to) = range.split_once('-')?;
    let (from, to) = (parse_number(from)?, parse_number(to)?);
    let last = size.saturating_sub(1);
    Some(match (from, to) {
        (None, None) => return None,
        (Some(from), Some(to)) if from > to => return None,
        (None, Some(0)) => ByteBounds::Beyond,
        (None, Some(_)) if size == 0 => ByteBounds::Empty,
        (None, Some(count)) => ByteBounds::Inside(size.saturating_sub(count)..=last),
        (Some(from), _) if from >= size => ByteBounds::Beyond,
        (Some(from), to) => ByteBounds::Inside(from..=to.unwrap_or(last).min(last)),
    })
}

/// Parses digits; the inner `None` for no digits. A number that does not fit becomes the largest.
fn parse_number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

/// Returns the tags of all headers of that name. `None` if there is none.
fn tags(headers: &HeaderMap, name: header::HeaderName) -> Option<impl Iterator<Item = &str>> {
    let lines = headers.get_all(name);
    lines.iter().next()?;
    Some(lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
