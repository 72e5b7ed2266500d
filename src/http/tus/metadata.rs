//! The header Upload-Metadata: pairs of a key and a Base64 value, separated by commas.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::task::text;

/// Returns the value of `filename`, or of `name`, which some clients send. `None` if there is neither. The header may have
/// `max_bytes`.
///
/// # Errors
/// A header that is too long or malformed, as a message for the client.
pub fn file_name(metadata: &str, max_bytes: usize) -> Result<Option<String>, String> {
    if metadata.len() > max_bytes {
        return Err(format!("Upload-Metadata has {} bytes, more than {max_bytes}.", metadata.len()));
    }
    let mut pairs = Vec::new();
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = STANDARD
            .decode(value.trim())
            .map_err(|_| format!("The value of {key:?} in Upload-Metadata is not Base64: {:?}.", value.trim()))?;
        if !key.is_ascii() {
            return Err(format!("The key {key:?} in Upload-Metadata is not ASCII."));
        }
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(format!("Upload-Metadata has the key {key:?} twice."));
        }
        pairs.push((key, value));
    }
    let find = |name: &str| pairs.iter().find(|(key, _)| *key == name);
    let found = find("filename").or_else(|| find("name"));
    let name = found.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    match name {
        Some(name) if text::check(&name, text::FILE_NAME).is_err() => {
            Err(format!("The file name {name:?} in Upload-Metadata has a NUL character or more than 1,000 characters."))
        }
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    fn file_name(metadata: &str) -> Result<Option<String>, String> {
        super::file_name(metadata, 100)
    }

    #[test]
    fn the_name_is_found_and_malformed_headers_are_refused() {
        assert_eq!(file_name(""), Ok(None));
        assert_eq!(file_name("filename w5xidW5nLmNzdg=="), Ok(Some("Übung.csv".to_owned())));
        assert_eq!(file_name("is_confidential, name YS5jc3Y=,filetype dGV4dC9jc3Y="), Ok(Some("a.csv".to_owned())));
        assert_eq!(file_name("name YS5jc3Y=,filename Yi5jc3Y="), Ok(Some("b.csv".to_owned())));
        assert!(file_name("filename ???").is_err());
        assert!(file_name("filename YQBi").is_err(), "a NUL");
        assert!(file_name("a YQ==,a YQ==").is_err());
        assert!(file_name(&"a".repeat(101)).is_err());
    }
}
