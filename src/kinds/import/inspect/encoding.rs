//! The encoding that bytes which are no UTF-8 are likely in.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use super::sample::Sample;

/// Bytes that show UTF-16 without a byte-order mark.
const WIDE: usize = 4096;

/// Refuses UTF-16 without a byte-order mark: of each two bytes, one is NUL in at least half of them.
pub fn wide(sample: &Sample) -> Option<String> {
    let bytes = sample.text();
    let (pairs, _) = bytes[..bytes.len().min(WIDE)].as_chunks::<2>();
    let nul = |n: usize| pairs.iter().filter(|pair| pair[n] == 0).count();
    let (first, second) = (nul(0), nul(1));
    let label = match pairs.len() {
        0..4 => return None,
        pairs if second * 2 >= pairs && first * 20 <= pairs => "utf-16le",
        pairs if first * 2 >= pairs && second * 20 <= pairs => "utf-16be",
        _ => return None,
    };
    Some(format!("The file looks like UTF-16 without a byte-order mark. Set csv: {{ encoding: \"{label}\" }}."))
}

/// What to do about `record`, which is no UTF-8.
pub fn hint(sample: &Sample, record: &[u8]) -> String {
    let (mut valid, mut invalid) = (0, 0);
    for chunk in sample.text().utf8_chunks() {
        valid += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    if valid > invalid {
        return "Other text in the file is UTF-8, so the file may be damaged there.".to_owned();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample.text(), false);
    detector.feed(record, true);
    let likely = detector.guess(None, Utf8Detection::Deny).name();
    format!("The file is probably in {likely}: set csv: {{ encoding: \"{}\" }}.", likely.to_ascii_lowercase())
}
