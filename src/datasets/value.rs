//! Values of typed columns, and the canonical text of each value.

use std::borrow::Cow;

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::ColumnType;

/// A text that is not a value of its column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {}", expected(*.kind))]
pub struct InvalidValue {
    /// Type of the column.
    pub kind: ColumnType,
    /// The text, at most 60 characters of it.
    pub text: String,
}

/// Maximum number of characters of a refused text in an error.
const SHOWN: usize = 60;

const PARSER: DateTimeParser = DateTimeParser::new();

impl ColumnType {
    /// Returns the canonical text of a value. Blanks around `text` are ignored, except for TEXT.
    ///
    /// - TEXT: unchanged
    /// - INTEGER: decimal, from -2^63 to 2^63 - 1
    /// - REAL: the shortest decimal of a finite 64-bit number
    /// - BOOLEAN: `true` or `false`; also parses t, yes, y, on, 1 and their opposites
    /// - DATE: `YYYY-MM-DD`, years 1 to 9999
    /// - TIMESTAMP: `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`; parses any offset, default UTC; rounded to microseconds
    ///
    /// # Errors
    /// [`InvalidValue`] if `text` is not of this type.
    pub fn canonical(self, text: &str) -> Result<Cow<'_, str>, InvalidValue> {
        if self == ColumnType::Text {
            return Ok(Cow::Borrowed(text));
        }
        let value = text.trim_matches([' ', '\t']);
        let written = match self {
            ColumnType::Text => None,
            ColumnType::Integer => value.parse::<i64>().ok().map(|number| number.to_string()),
            ColumnType::Real => real(value).map(real_text),
            ColumnType::Boolean => boolean(value).map(|truth| truth.to_string()),
            ColumnType::Date => date(value).map(|date| date.to_string()),
            ColumnType::Timestamp => timestamp(value).map(|moment| moment.to_string()),
        };
        match written {
            Some(written) if written == value => Ok(Cow::Borrowed(value)),
            Some(written) => Ok(Cow::Owned(written)),
            None => Err(InvalidValue { kind: self, text: text.chars().take(SHOWN).collect() }),
        }
    }
}

/// Returns the shortest decimal that parses to the same number. Very large and very small numbers have an exponent.
pub(super) fn real_text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        // A database may not keep the sign of a zero.
        "0".to_owned()
    } else if (1e-5..1e16).contains(&size) {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}

/// Parses a finite number written with digits.
pub(super) fn real(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// Parses the words that PostgreSQL accepts, case-insensitive.
fn boolean(text: &str) -> Option<bool> {
    let any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if any(&["true", "t", "yes", "y", "on", "1"]) {
        Some(true)
    } else if any(&["false", "f", "no", "n", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// Parses `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok().filter(|_| text.len() == 10 && text.as_bytes()[0].is_ascii_digit())?;
    (date.year() >= 1).then_some(date)
}

/// Parses `YYYY-MM-DD`, optionally followed by T or a blank and a time, optionally followed by an offset.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let plain = |byte: u8| {
        byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b':' | b'.' | b' ' | b'T' | b't' | b'Z' | b'z')
    };
    date(text.get(..10)?)?;
    if !text.bytes().all(plain) {
        return None;
    }
    let moment = match PARSER.parse_timestamp(text) {
        Ok(moment) => moment,
        Err(_) => text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    let rounding = TimestampRound::new().smallest(Unit::Microsecond).mode(RoundMode::HalfExpand);
    let moment = moment.round(rounding).ok()?;
    (1..=9999).contains(&moment.to_zoned(TimeZone::UTC).year()).then_some(moment)
}

fn expected(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "a text",
        ColumnType::Integer => "an INTEGER from -9223372036854775808 to 9223372036854775807",
        ColumnType::Real => "a REAL such as -1.5 or 2e10",
        ColumnType::Boolean => "a BOOLEAN: true or false",
        ColumnType::Date => "a DATE such as 2026-01-31",
        ColumnType::Timestamp => "a TIMESTAMP such as 2026-01-31T12:00:00Z",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: ColumnType, text: &str) -> Option<String> {
        kind.canonical(text).ok().map(Cow::into_owned)
    }

    #[test]
    fn every_value_has_one_text() {
        let table = [
            (ColumnType::Text, " 007 ", Some(" 007 ")),
            (ColumnType::Integer, "007", Some("7")),
            (ColumnType::Integer, " +12 ", Some("12")),
            (ColumnType::Integer, "-9223372036854775808", Some("-9223372036854775808")),
            (ColumnType::Integer, "9223372036854775808", None),
            (ColumnType::Integer, "1.0", None),
            (ColumnType::Integer, "", None),
            (ColumnType::Real, "1.50", Some("1.5")),
            (ColumnType::Real, "0.1", Some("0.1")),
            (ColumnType::Real, "-0", Some("0")),
            (ColumnType::Real, "1E400", None),
            (ColumnType::Real, "nan", None),
            (ColumnType::Real, "inf", None),
            (ColumnType::Real, "1e22", Some("1e22")),
            (ColumnType::Boolean, "Yes", Some("true")),
            (ColumnType::Boolean, "0", Some("false")),
            (ColumnType::Boolean, "maybe", None),
            (ColumnType::Date, "2024-02-29", Some("2024-02-29")),
            (ColumnType::Date, "2023-02-29", None),
            (ColumnType::Date, "0000-01-01", None),
            (ColumnType::Date, "2024-02-29T10:00", None),
            (ColumnType::Date, "29.02.2024", None),
            (ColumnType::Timestamp, "2024-02-29", Some("2024-02-29T00:00:00Z")),
            (ColumnType::Timestamp, "2024-02-29 10:11", Some("2024-02-29T10:11:00Z")),
            (ColumnType::Timestamp, "2024-02-29T10:11:12.5+02:00", Some("2024-02-29T08:11:12.5Z")),
            (ColumnType::Timestamp, "2024-02-29T10:11:12Z", Some("2024-02-29T10:11:12Z")),
            (ColumnType::Timestamp, "2024-02-29T10:11:12.1234567Z", Some("2024-02-29T10:11:12.123457Z")),
            (ColumnType::Timestamp, "0001-01-01T00:00:00+05:00", None),
            (ColumnType::Timestamp, "10:11", None),
            (ColumnType::Timestamp, "2024-13-01", None),
        ];
        for (kind, text, expected) in table {
            assert_eq!(written(kind, text).as_deref(), expected, "{kind:?} of {text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for number in [0.1, 1e16, 123456789.125, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e-5, 9.999e-6] {
            assert_eq!(real(&real_text(number)), Some(number));
            assert_eq!(written(ColumnType::Real, &real_text(number)), Some(real_text(number)));
        }
    }

    #[test]
    fn a_refusal_says_what_is_expected() {
        let refusal = ColumnType::Date.canonical("yesterday").unwrap_err().to_string();
        assert_eq!(refusal, "\"yesterday\" is not a DATE such as 2026-01-31");
    }
}
