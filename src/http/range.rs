//! Which part of a file a client wants: Range and its conditions, as RFC 9110 (13, 14) has them.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, Method, header};

/// Ranges of one request that are answered one by one; a client that asks for more gets the whole file.
const MOST: usize = 64;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedContent {
    /// The whole file.
    Whole,
    /// These bytes of it.
    Part(RangeInclusive<u64>),
    /// Several parts of it, in the order in which they were asked for.
    Parts(Vec<RangeInclusive<u64>>),
    /// Nothing: the client has it already.
    NotModified,
    /// Nothing: the client wanted another content (If-Match).
    Changed,
    /// No byte of it is in the range.
    Unsatisfiable,
}

/// What a request asks of a file of `size` bytes with the strong tag `tag`. A range means something to GET only.
pub fn wanted(method: &Method, headers: &HeaderMap, tag: &str, size: u64) -> RequestedContent {
    // A weak tag (`W/`) never is the same as ours for If-Match and If-Range, which compare strongly (8.8.3.2).
    if tags(headers, header::IF_MATCH).is_some_and(|mut tags| !tags.any(|known| known == "*" || known == tag)) {
        return RequestedContent::Changed;
    }
    let known = |known: &str| known == "*" || known.trim_start_matches("W/") == tag;
    if tags(headers, header::IF_NONE_MATCH).is_some_and(|mut tags| tags.any(known)) {
        return RequestedContent::NotModified;
    }
    let same = text(headers, header::IF_RANGE).is_none_or(|condition| condition.trim() == tag);
    match text(headers, header::RANGE).filter(|_| same && method == Method::GET).and_then(in_bytes) {
        Some(ranges) => parts(ranges, size),
        None => RequestedContent::Whole,
    }
}

/// The ranges, where they count bytes; the unit's name has no case.
fn in_bytes(range: &str) -> Option<&str> {
    let (unit, ranges) = range.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(ranges)
}

/// Ranges behind the end are left out. One that is malformed makes the header void; so do more bytes than the file has, or
/// very many ranges, for which one file is the better answer (14.2).
fn parts(ranges: &str, size: u64) -> RequestedContent {
    let named: Vec<_> = ranges.split(',').map(str::trim).filter(|range| !range.is_empty()).collect();
    let Some(bounds) = named.iter().map(|range| bounds(range, size)).collect::<Option<Vec<_>>>() else {
        return RequestedContent::Whole;
    };
    if bounds.is_empty() || bounds.len() > MOST || size == 0 && bounds.contains(&ByteBounds::Empty) {
        return RequestedContent::Whole;
    }
    let mut there: Vec<_> = bounds.into_iter().filter_map(ByteBounds::there).collect();
    let bytes = there.iter().fold(0_u64, |sum, part| sum.saturating_add(part.end() - part.start() + 1));
    match there.len() {
        0 => RequestedContent::Unsatisfiable,
        1 => RequestedContent::Part(there.remove(0)),
        _ if bytes > size => RequestedContent::Whole,
        _ => RequestedContent::Parts(there),
    }
}

/// Where a well-formed range lies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ByteBounds {
    There(RangeInclusive<u64>),
    /// The last bytes of a file that has none: they can be had, but no header can say which they are.
    Empty,
    Behind,
}

impl ByteBounds {
    fn there(self) -> Option<RangeInclusive<u64>> {
        if let ByteBounds::There(range) = self { Some(range) } else { None }
    }
}

/// `from-to`, `from-` or `-count`; none where it is malformed.
fn bounds(range: &str, size: u64) -> Option<ByteBounds> {
    let (from, to) = range.split_once('-')?;
    let (from, to) = (number(from)?, number(to)?);
    let last = size.saturating_sub(1);
    Some(match (from, to) {
        (None, None) => return None,
        (Some(from), Some(to)) if from > to => return None,
        (None, Some(0)) => ByteBounds::Behind,
        (None, Some(_)) if size == 0 => ByteBounds::Empty,
        (None, Some(count)) => ByteBounds::There(size.saturating_sub(count)..=last),
        (Some(from), _) if from >= size => ByteBounds::Behind,
        (Some(from), to) => ByteBounds::There(from..=to.unwrap_or(last).min(last)),
    })
}

/// Digits, or nothing at all (the inner none). A number that no file reaches stands for the largest.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

/// The tags of every header of that name; none where there is no such header.
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
