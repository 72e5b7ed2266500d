//! Detects the likely encoding of text that is not UTF-8.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use super::sample::FileSample;

/// Number of bytes that are checked for UTF-16.
const CHECKED_BYTES: usize = 4096;

/// Refuses UTF-16 without a byte-order mark: in at least half of the pairs of bytes, one is NUL.
pub fn utf_16(sample: &FileSample) -> Option<String> {
    let bytes = sample.text();
    let (pairs, _) = bytes[..bytes.len().min(CHECKED_BYTES)].as_chunks::<2>();
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

/// Returns a hint for `record`, which is not UTF-8.
pub fn hint(sample: &FileSample, record: &[u8]) -> String {
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
