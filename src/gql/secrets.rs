//! Secrets in what clients gave: they are shown as a mask, and a mask that comes back is refused.

use url::Url;

use super::error::{self, Result};

/// Shown in place of a secret.
pub const MASK: &str = "***";

/// Parts of the names of headers whose values are secret.
const SECRET_HEADERS: [&str; 8] = ["auth", "cookie", "token", "secret", "password", "credential", "signature", "key"];

/// Returns the URL with its password as a mask, or its user name if it has no password.
pub fn masked_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    // A URL of http or https has a host, so neither can fail.
    if url.password().is_some() {
        let _ = url.set_password(Some(MASK));
    } else if !url.username().is_empty() {
        let _ = url.set_username(MASK);
    } else {
        return text.to_owned();
    }
    url.into()
}

/// Returns the value of a header, as a mask if the name says that it is secret.
pub fn masked_header<'a>(name: &str, value: &'a str) -> &'a str {
    let name = name.to_ascii_lowercase();
    if SECRET_HEADERS.iter().any(|part| name.contains(part)) { MASK } else { value }
}

/// Refuses a URL that contains a mask.
///
/// # Errors
/// BAD_USER_INPUT with `field`.
pub fn refuse_masked_url(field: &str, text: &str) -> Result<()> {
    let url = Url::parse(text).ok();
    let masked = url.is_some_and(|url| url.password() == Some(MASK) || url.username() == MASK);
    if masked { Err(masked_secret(field)) } else { Ok(()) }
}

/// Refuses the value of a header if it is a mask.
///
/// # Errors
/// BAD_USER_INPUT with `field`.
pub fn refuse_masked_header(field: &str, value: &str) -> Result<()> {
    if value == MASK { Err(masked_secret(field)) } else { Ok(()) }
}

fn masked_secret(field: &str) -> async_graphql::Error {
    error::bad_input(field, format!("{field} contains {MASK}, which stands for a secret. Replace it by the secret."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_urls_are_masked_and_other_urls_stay_as_they_are() {
        let cases = [
            ("https://example.org/a?b=c", "https://example.org/a?b=c"),
            ("HTTP://Example.org", "HTTP://Example.org"),
            ("https://me:pass@example.org/", "https://me:***@example.org/"),
            ("https://token@example.org/a", "https://***@example.org/a"),
        ];
        for (url, shown) in cases {
            assert_eq!(masked_url(url), shown);
            assert_eq!(refuse_masked_url("url", shown).is_err(), url != shown, "{shown}");
        }
    }

    #[test]
    fn headers_with_secrets_are_known_by_their_names() {
        for name in ["Authorization", "Cookie", "X-API-Key", "x-auth-token", "X-Hub-Signature"] {
            assert_eq!(masked_header(name, "abc"), MASK, "{name}");
        }
        for name in ["Content-Type", "Accept", "X-Trace"] {
            assert_eq!(masked_header(name, "abc"), "abc", "{name}");
        }
    }
}
