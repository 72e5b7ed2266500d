//! Detects text formats other than CSV.

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::sample::FileSample;

/// Refuses a text that is evidently in another format.
pub fn of(sample: &FileSample) -> Option<String> {
    let text = sample.text().trim_ascii_start();
    let (what, advice) = match text.first()? {
        b'<' => tags(text)?,
        b'{' if text.starts_with(b"{\\rtf") => ("an RTF document", "Save its table as CSV and import that"),
        b'{' | b'[' => json(text)?,
        b'%' if text.starts_with(b"%PDF-") => ("a PDF document", "Export its data as CSV and import that"),
        _ => return None,
    };
    Some(format!("The file looks like {what}, not CSV. {advice}."))
}

fn tags(text: &[u8]) -> Option<(&'static str, &'static str)> {
    let begins = |tag: &str| text.get(..tag.len()).is_some_and(|first| first.eq_ignore_ascii_case(tag.as_bytes()));
    let holds = |part: &str| text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
    let element = text.get(1).is_some_and(u8::is_ascii_alphabetic) && (holds("</") || holds("/>"));
    if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(begins) || begins("<?xml") && holds("<html") {
        Some(("an HTML page", "Check that the source gives the CSV file and not an error page or a login page"))
    } else if begins("<?xml") && holds("schemas-microsoft-com:office:spreadsheet") {
        Some(("an XML spreadsheet of Excel", "Save the sheet as CSV (UTF-8) and import that"))
    } else if begins("<?xml") || begins("<!doctype") || element {
        Some(("XML", "Convert it to CSV and import that"))
    } else {
        None
    }
}

/// Detects one JSON value, or several, up to the end of the sample.
fn json(text: &[u8]) -> Option<(&'static str, &'static str)> {
    let mut values = 0;
    for value in Deserializer::from_slice(text).into_iter::<IgnoredAny>() {
        match value {
            Ok(_) => values += 1,
            Err(error) if error.is_eof() => break,
            Err(_) => return None,
        }
    }
    let what = match (values, text[0]) {
        (2.., _) => "JSON Lines",
        (_, b'[') => "a JSON array",
        _ => "a JSON object",
    };
    Some((what, "Convert it to CSV and import that"))
}
