//! Reading the requests of POST and GET.

use async_graphql::{Request, Variables};
use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{refusal::Refusal, settings::Settings, source, uploads::Held};

/// A request as clients write it, in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    query: Option<String>,
    operation_name: Option<String>,
    /// The variables; none and null are the same.
    #[serde(default)]
    pub variables: Variables,
    #[serde(default)]
    extensions: Option<Map<String, Value>>,
}

impl Operation {
    /// Reads JSON; a list of requests is refused.
    pub fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        if json.trim_ascii_start().first() == Some(&b'[') {
            return Err(Refusal::bad_request("Lists of requests are not taken. Send one at a time."));
        }
        serde_json::from_slice(json)
            .map_err(|error| Refusal::bad_request(format!("The request is not as expected: {error}.")))
    }

    /// The request for the schema. Refused where it has no query.
    pub fn into_request(self) -> Result<Request, Refusal> {
        let missing = self.missing_query();
        let query = self.query.filter(|query| !query.is_empty());
        let query = query.ok_or_else(|| Refusal::bad_request(missing))?;
        let mut request = Request::new(query).variables(self.variables);
        request.operation_name = self.operation_name;
        Ok(request)
    }

    /// The text that clients with persisted queries understand: they send the query next.
    fn missing_query(&self) -> &'static str {
        let extensions = self.extensions.as_ref();
        if extensions.is_some_and(|all| all.contains_key("persistedQuery")) {
            return "PersistedQueryNotSupported";
        }
        "The request has no query."
    }
}

/// A request and the uploads that came with it.
pub struct Incoming {
    /// The request for the schema.
    pub request: Request,
    /// Its files, already stored.
    pub held: Held,
}

/// Reads the body of a POST with JSON.
pub async fn read_json(body: axum::body::Body, settings: &Settings) -> Result<Request, Refusal> {
    let mut body = body.into_data_stream();
    let json = source::read_all(&mut body, settings.max_json_bytes, settings.read_timeout).await;
    match json {
        Ok(json) => Operation::from_json(&json)?.into_request(),
        Err(refusal) => {
            source::drain(body);
            Err(refusal)
        }
    }
}

/// The parameters of a GET.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Reads the query string of a GET.
pub async fn read_get(parts: &mut Parts) -> Result<Request, Refusal> {
    let bad = |text: String| Refusal::bad_request(format!("The parameters are not as expected: {text}"));
    let Query(parameters) =
        Query::<Parameters>::from_request_parts(parts, &()).await.map_err(|rejection| bad(rejection.body_text()))?;
    let operation = Operation {
        query: parameters.query,
        operation_name: parameters.operation_name,
        variables: parameter(parameters.variables).map_err(|error| bad(error.to_string()))?,
        extensions: parameter(parameters.extensions).map_err(|error| bad(error.to_string()))?,
    };
    operation.into_request()
}

/// A parameter that is JSON; absent and empty ones are null.
fn parameter<T: for<'de> Deserialize<'de>>(text: Option<String>) -> serde_json::Result<T> {
    let text = text.filter(|text| !text.is_empty());
    serde_json::from_str(text.as_deref().unwrap_or("null"))
}

/// How the body of a POST is written.
pub enum BodyKind {
    /// One JSON object.
    Json,
    /// A multipart request with this boundary.
    Multipart(String),
}

impl BodyKind {
    /// Reads Content-Type; refused (415) where it is neither JSON in UTF-8 nor multipart.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let coding = text(headers, &header::CONTENT_ENCODING);
        if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            return Err(Refusal::media_type("Compressed requests are not read."));
        }
        let kind = text(headers, &header::CONTENT_TYPE);
        let (name, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "application/json" if is_utf8(parameters) => Ok(Self::Json),
            "multipart/form-data" => multer::parse_boundary(kind)
                .map(Self::Multipart)
                .map_err(|_| Refusal::bad_request("The content type names no boundary.")),
            _ => Err(Refusal::media_type("Send application/json in UTF-8, or multipart/form-data with files.")),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// Do the parameters of a content type say UTF-8, or nothing?
fn is_utf8(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, value)| {
            let value = value.trim().trim_matches('"').to_ascii_lowercase();
            matches!(value.as_str(), "utf-8" | "utf8" | "us-ascii")
        })
}
