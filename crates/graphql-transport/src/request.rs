//! Parsing of POST and GET requests.

use async_graphql::{Request, Variables};
use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{persisted::Texts, refusal::Refusal, settings::Settings, source, uploads::RequestUploads};

/// A request in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The document.
    pub query: Option<String>,
    /// ID of a persisted document.
    pub document_id: Option<String>,
    operation_name: Option<String>,
    /// Variables. Absent means empty.
    #[serde(default)]
    pub variables: Variables,
    /// Extensions, such as the hash of a persisted query.
    #[serde(default)]
    pub extensions: Option<Map<String, Value>>,
}

impl Operation {
    /// Parses JSON. Refuses a list of requests.
    pub fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        if json.trim_ascii_start().first() == Some(&b'[') {
            return Err(Refusal::bad_request("Batches are not supported. Send one request at a time."));
        }
        serde_json::from_slice(json).map_err(|error| Refusal::bad_request(format!("Invalid request: {error}.")))
    }

    /// Returns true if the request neither sends nor names a document.
    pub fn names_nothing(&self) -> bool {
        let sent = self.query.as_ref().is_some_and(|query| !query.is_empty());
        !sent && self.document_id.is_none() && self.extensions.is_none()
    }

    /// Returns the request for the executor. Refuses a request without a document.
    pub fn into_request(mut self, texts: &Texts) -> Result<Request, Refusal> {
        let mut request = Request::new(texts.find(&mut self)?).variables(self.variables);
        request.operation_name = self.operation_name;
        Ok(request)
    }
}

/// A request with its uploads.
pub struct Incoming {
    /// The request for the executor.
    pub request: Request,
    /// Its stored files.
    pub uploads: RequestUploads,
}

/// Reads the JSON body of a POST.
pub async fn read_json(body: axum::body::Body, settings: &Settings, texts: &Texts) -> Result<Request, Refusal> {
    let mut body = body.into_data_stream();
    let json = source::read_all(&mut body, settings.max_json_bytes, settings.read_timeout).await;
    match json {
        Ok(json) => Operation::from_json(&json)?.into_request(texts),
        Err(refusal) => {
            source::drain(body, settings.drain_timeout);
            Err(refusal)
        }
    }
}

/// Query string of a GET.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetParameters {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Reads the query string of a GET.
pub async fn read_get(parts: &mut Parts, texts: &Texts) -> Result<Request, Refusal> {
    let bad = |text: String| Refusal::bad_request(format!("Invalid query string: {text}"));
    let Query(parameters) =
        Query::<GetParameters>::from_request_parts(parts, &()).await.map_err(|rejection| bad(rejection.body_text()))?;
    let operation = Operation {
        query: parameters.query,
        document_id: parameters.document_id,
        operation_name: parameters.operation_name,
        variables: parameter(parameters.variables).map_err(|error| bad(error.to_string()))?,
        extensions: parameter(parameters.extensions).map_err(|error| bad(error.to_string()))?,
    };
    operation.into_request(texts)
}

/// Parses a JSON parameter. An absent or empty one is null.
fn parameter<T: for<'de> Deserialize<'de>>(text: Option<String>) -> serde_json::Result<T> {
    let text = text.filter(|text| !text.is_empty());
    serde_json::from_str(text.as_deref().unwrap_or("null"))
}

/// Format of the body of a POST.
pub enum BodyKind {
    /// One JSON object.
    Json,
    /// A multipart request with this boundary.
    Multipart(String),
}

impl BodyKind {
    /// Reads Content-Type. Refuses (415) other formats than JSON in UTF-8 and multipart.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let coding = text(headers, &header::CONTENT_ENCODING);
        if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            return Err(Refusal::media_type("Compressed requests are not supported."));
        }
        let kind = text(headers, &header::CONTENT_TYPE);
        let (name, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "application/json" if is_utf8(parameters) => Ok(Self::Json),
            "multipart/form-data" => multer::parse_boundary(kind)
                .map(Self::Multipart)
                .map_err(|_| Refusal::bad_request("The content type has no boundary.")),
            _ => Err(Refusal::media_type("Send application/json in UTF-8, or multipart/form-data with files.")),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// Returns true if the charset of a content type is UTF-8 or absent.
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
