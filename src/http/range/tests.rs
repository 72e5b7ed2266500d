//! Range headers as clients send them, and arbitrary ones.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use proptest::prelude::*;

use super::*;

const TAG: &str = "\"abc\"";

fn request(method: &Method, size: u64, pairs: &[(header::HeaderName, &str)]) -> RequestedContent {
    let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
    requested_content(method, &headers, TAG, size, 3)
}

fn get(pairs: &[(header::HeaderName, &str)]) -> RequestedContent {
    request(&Method::GET, 1000, pairs)
}

#[test]
fn ranges_as_clients_write_them() {
    let table = [
        ("bytes=0-0", RequestedContent::Part(0..=0)),
        ("bytes=10-19", RequestedContent::Part(10..=19)),
        ("bytes= 10-19 ", RequestedContent::Part(10..=19)),
        ("Bytes=10-19", RequestedContent::Part(10..=19)),
        ("bytes=990-", RequestedContent::Part(990..=999)),
        ("bytes=-10", RequestedContent::Part(990..=999)),
        ("bytes=-5000", RequestedContent::Part(0..=999)),
        ("bytes=-99999999999999999999", RequestedContent::Part(0..=999)),
        ("bytes=500-9999", RequestedContent::Part(500..=999)),
        ("bytes=500-99999999999999999999", RequestedContent::Part(500..=999)),
        ("bytes=1000-", RequestedContent::Unsatisfiable),
        ("bytes=99999999999999999999-", RequestedContent::Unsatisfiable),
        ("bytes=-0", RequestedContent::Unsatisfiable),
        ("bytes=1000-,-0", RequestedContent::Unsatisfiable),
        ("bytes=9-3", RequestedContent::Whole),
        ("bytes=a-b", RequestedContent::Whole),
        ("bytes=+5-9", RequestedContent::Whole),
        ("bytes=5-+9", RequestedContent::Whole),
        ("bytes=-", RequestedContent::Whole),
        ("bytes=", RequestedContent::Whole),
        ("bytes=,", RequestedContent::Whole),
        ("bytes=5", RequestedContent::Whole),
        ("bytes=1-2-3", RequestedContent::Whole),
        ("bytes", RequestedContent::Whole),
        ("rows=0-1", RequestedContent::Whole),
        ("bytes=0-1,5-6", RequestedContent::Parts(vec![0..=1, 5..=6])),
        ("bytes=5-6 , ,0-1,", RequestedContent::Parts(vec![5..=6, 0..=1])),
        ("bytes=0-1,-2,2000-", RequestedContent::Parts(vec![0..=1, 998..=999])),
        ("bytes=0-1,2000-", RequestedContent::Part(0..=1)),
        ("bytes=0-1,9-3", RequestedContent::Whole),
        // More bytes than the file has.
        ("bytes=0-,0-", RequestedContent::Whole),
    ];
    for (range, expected) in table {
        assert_eq!(get(&[(RANGE, range)]), expected, "{range}");
    }
    let many = format!("bytes={}", ["1-1"; 4].join(","));
    assert_eq!(get(&[(RANGE, &many)]), RequestedContent::Whole);
}

#[test]
fn an_empty_file_has_no_ranges() {
    for (range, expected) in [
        ("bytes=0-", RequestedContent::Unsatisfiable),
        ("bytes=-5", RequestedContent::Whole),
        ("bytes=-0", RequestedContent::Unsatisfiable),
    ] {
        assert_eq!(request(&Method::GET, 0, &[(RANGE, range)]), expected, "{range}");
    }
}

#[test]
fn only_get_has_ranges() {
    assert_eq!(request(&Method::HEAD, 1000, &[(RANGE, "bytes=5-6")]), RequestedContent::Whole);
    assert_eq!(request(&Method::HEAD, 1000, &[(IF_NONE_MATCH, TAG)]), RequestedContent::NotModified);
}

#[test]
fn a_changed_file_is_sent_complete_and_a_known_one_not_at_all() {
    let five = (RANGE, "bytes=5-");
    assert_eq!(get(&[five.clone(), (IF_RANGE, TAG)]), RequestedContent::Part(5..=999));
    for old in ["\"old\"", "W/\"abc\"", "Sat, 21 Nov 2026 01:00:00 GMT"] {
        assert_eq!(get(&[five.clone(), (IF_RANGE, old)]), RequestedContent::Whole, "{old}");
    }
    assert_eq!(get(&[(IF_NONE_MATCH, "\"old\", W/\"abc\"")]), RequestedContent::NotModified);
    assert_eq!(get(&[(IF_NONE_MATCH, "*")]), RequestedContent::NotModified);
    assert_eq!(get(&[(IF_NONE_MATCH, "\"old\"")]), RequestedContent::Whole);
    assert_eq!(get(&[five.clone(), (IF_MATCH, "\"old\", \"abc\"")]), RequestedContent::Part(5..=999));
    assert_eq!(get(&[(IF_MATCH, "*")]), RequestedContent::Whole);
    for old in ["\"old\"", "W/\"abc\""] {
        assert_eq!(get(&[five.clone(), (IF_MATCH, old)]), RequestedContent::Changed, "{old}");
    }
}

proptest! {
    /// All ranges are inside the file, and together they are not larger than it, for any header.
    #[test]
    fn ranges_are_inside_the_file(range in "bytes=[0-9, -]{0,24}|[ -~]{0,24}", size in 0_u64..1200) {
        let parts = match request(&Method::GET, size, &[(RANGE, &range)]) {
            RequestedContent::Part(part) => vec![part],
            RequestedContent::Parts(parts) => {
                prop_assert!(parts.len() > 1);
                parts
            }
            RequestedContent::Whole | RequestedContent::Unsatisfiable => Vec::new(),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert!(parts.iter().all(|part| part.start() <= part.end() && *part.end() < size));
        prop_assert!(parts.iter().map(|part| part.end() - part.start() + 1).sum::<u64>() <= size);
    }

    /// A well-formed range gives exactly its bytes.
    #[test]
    fn a_range_gives_its_bytes(from in 0_u64..1200, count in 1_u64..1200) {
        let to = from + count - 1;
        let expected = if from < 1000 { RequestedContent::Part(from..=to.min(999)) } else { RequestedContent::Unsatisfiable };
        prop_assert_eq!(get(&[(RANGE, &format!("bytes={from}-{to}"))]), expected);
        let end = if from < 1000 { RequestedContent::Part(from..=999) } else { RequestedContent::Unsatisfiable };
        prop_assert_eq!(get(&[(RANGE, &format!("bytes={from}-"))]), end);
        let last = RequestedContent::Part(1000_u64.saturating_sub(count)..=999);
        prop_assert_eq!(get(&[(RANGE, &format!("bytes=-{count}"))]), last);
    }
}
