//! Which part of a file a client wants: Range and its conditions, as RFC 9110 (13, 14) has them.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, header};

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The whole file.
    Whole,
    /// These bytes of it.
    Part(RangeInclusive<u64>),
    /// Nothing: the client has it already.
    NotModified,
    /// No byte of it is in the range.
    Unsatisfiable,
}

/// What the headers ask of a file of `size` bytes with the strong tag `tag`. Several ranges are answered with the whole
/// file, as the RFC allows.
pub fn wanted(headers: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let known = header_text(headers, header::IF_NONE_MATCH);
    if known.is_some_and(|tags| tags.split(',').map(weak).any(|known| known == "*" || known == tag)) {
        return Wanted::NotModified;
    }
    let same = header_text(headers, header::IF_RANGE).is_none_or(|condition| condition.trim() == tag);
    match header_text(headers, header::RANGE).filter(|_| same).and_then(|range| range.strip_prefix("bytes=")) {
        Some(range) if !range.contains(',') => part(range.trim(), size),
        _ => Wanted::Whole,
    }
}

fn weak(tag: &str) -> &str {
    tag.trim().trim_start_matches("W/")
}

/// A malformed range is ignored; one that lies behind the end is not satisfiable.
fn part(range: &str, size: u64) -> Wanted {
    let Some((from, to)) = range.split_once('-') else { return Wanted::Whole };
    let last = size.saturating_sub(1);
    let bounds = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => Some((from, to.min(last))),
        (Ok(from), Err(_)) if to.is_empty() => Some((from, last)),
        (Err(_), Ok(0)) if from.is_empty() => return Wanted::Unsatisfiable,
        (Err(_), Ok(count)) if from.is_empty() => Some((size.saturating_sub(count), last)),
        _ => None,
    };
    match bounds {
        None => Wanted::Whole,
        Some((from, _)) if from >= size => Wanted::Unsatisfiable,
        Some((from, to)) => Wanted::Part(from..=to),
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";

    fn asked(pairs: &[(header::HeaderName, &str)]) -> Wanted {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        wanted(&headers, TAG, 1000)
    }

    #[test]
    fn ranges_as_clients_write_them() {
        let table = [
            ("bytes=0-0", Wanted::Part(0..=0)),
            ("bytes=10-19", Wanted::Part(10..=19)),
            ("bytes=990-", Wanted::Part(990..=999)),
            ("bytes=-10", Wanted::Part(990..=999)),
            ("bytes=-5000", Wanted::Part(0..=999)),
            ("bytes=500-9999", Wanted::Part(500..=999)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=9-3", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("rows=0-1", Wanted::Whole),
        ];
        for (range, expected) in table {
            assert_eq!(asked(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_changed_file_is_sent_whole_and_a_known_one_not_at_all() {
        assert_eq!(asked(&[(header::RANGE, "bytes=5-"), (header::IF_RANGE, TAG)]), Wanted::Part(5..=999));
        assert_eq!(asked(&[(header::RANGE, "bytes=5-"), (header::IF_RANGE, "\"old\"")]), Wanted::Whole);
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"old\", W/\"abc\"")]), Wanted::NotModified);
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "*")]), Wanted::NotModified);
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"old\"")]), Wanted::Whole);
    }
}
