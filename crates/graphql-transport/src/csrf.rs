//! Protection against cross-site requests (CSRF).

use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::{codes::Code, refusal::Refusal};

/// Headers that a page of another origin can only set after a CORS preflight.
const PREFLIGHT: [&str; 4] =
    ["apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name", "x-requested-with"];

/// Checks a multipart request. Browsers send it without a preflight, so it needs an allowed origin or one of the headers.
pub fn check_multipart(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> Result<(), Refusal> {
    let header = PREFLIGHT.iter().any(|name| has_text(headers, name));
    if header || from_own_page(headers, uri, allowed) == Some(true) {
        return Ok(());
    }
    let text = "A multipart request needs the header `apollo-require-preflight: true`.";
    Err(Refusal::bad_request(text))
}

/// Checks the Origin of a WebSocket handshake, which browsers send without a preflight. Other clients send no Origin.
pub fn check_socket(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> Result<(), Refusal> {
    if from_own_page(headers, uri, allowed) != Some(false) {
        return Ok(());
    }
    let text = "This origin is not allowed to open WebSockets.";
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, text))
}

fn has_text(headers: &HeaderMap, name: &str) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// Returns true if the Origin is the server's own or an allowed one. None if there is no Origin.
fn from_own_page(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> Option<bool> {
    let origin = headers.get(header::ORIGIN)?;
    let origin = origin.to_str().unwrap_or("null");
    let listed = |entry: &String| entry == "*" || entry.eq_ignore_ascii_case(origin);
    Some(allowed.iter().any(listed) || is_own(origin, headers, uri))
}

fn is_own(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.or_else(|| uri.authority().map(|authority| authority.as_str())) else {
        return false;
    };
    match origin.split_once("://") {
        Some(("http", place)) => same_place(place, host, ":80"),
        Some(("https", place)) => same_place(place, host, ":443"),
        _ => false,
    }
}

/// Compares two authorities. Browsers omit the default port of the scheme.
fn same_place(place: &str, host: &str, port: &str) -> bool {
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    bare(place) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn own(origin: &'static str, host: &'static str, allowed: &[&str]) -> Option<bool> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        from_own_page(&headers, &Uri::from_static("/"), &allowed)
    }

    #[test]
    fn an_origin_is_the_servers_own_by_host_and_port() {
        assert_eq!(own("http://127.0.0.1:8080", "127.0.0.1:8080", &[]), Some(true));
        assert_eq!(own("https://App.example", "app.example:443", &[]), Some(true));
        assert_eq!(own("http://127.0.0.1:8081", "127.0.0.1:8080", &[]), Some(false));
        assert_eq!(own("null", "127.0.0.1:8080", &[]), Some(false));
        assert_eq!(own("https://a.example", "b.example", &["https://a.example"]), Some(true));
        assert_eq!(own("https://c.example", "b.example", &["*"]), Some(true));
    }
}
