//! Upload-Metadata: pairs of a key and a value in Base64, with commas between them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::task::text;

/// The longest header that is kept, in bytes.
const LONGEST: usize = 8 * 1024;

/// The file's name, where one is told: `filename`, or `name` as some clients say.
///
/// # Errors
/// What is wrong with the header.
pub fn file_name(metadata: &str) -> Result<Option<String>, &'static str> {
    if metadata.len() > LONGEST {
        return Err("Upload-Metadata is longer than 8 KiB");
    }
    let mut pairs = Vec::new();
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = STANDARD.decode(value.trim()).map_err(|_| "a value in Upload-Metadata is not Base64")?;
        if !key.is_ascii() || pairs.iter().any(|(known, _)| *known == key) {
            return Err("a key in Upload-Metadata is not ASCII, or there twice");
        }
        pairs.push((key, value));
    }
    let find = |name: &str| pairs.iter().find(|(key, _)| *key == name);
    let found = find("filename").or_else(|| find("name"));
    let name = found.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    match name {
        Some(name) if text::check(&name, text::FILE_NAME).is_err() => {
            Err("the file name in Upload-Metadata contains a NUL character or has more than 1,000 characters")
        }
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_and_nonsense_is_refused() {
        assert_eq!(file_name(""), Ok(None));
        assert_eq!(file_name("filename w5xidW5nLmNzdg=="), Ok(Some("Übung.csv".to_owned())));
        assert_eq!(file_name("is_confidential, name YS5jc3Y=,filetype dGV4dC9jc3Y="), Ok(Some("a.csv".to_owned())));
        assert_eq!(file_name("name YS5jc3Y=,filename Yi5jc3Y="), Ok(Some("b.csv".to_owned())));
        assert!(file_name("filename ???").is_err());
        assert!(file_name("filename YQBi").is_err(), "a NUL");
        assert!(file_name("a YQ==,a YQ==").is_err());
        assert!(file_name(&"a".repeat(LONGEST + 1)).is_err());
    }
}
