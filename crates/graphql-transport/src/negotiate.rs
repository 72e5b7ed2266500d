//! Content type and status of responses.

use async_graphql::{Response, ServerError, parser::types::OperationType};
use async_graphql_axum::GraphQLResponse;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;

/// The two content types of a single result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`. Request errors have status 200.
    Json,
    /// `application/graphql-response+json`. Request errors have status 400.
    GraphqlResponse,
}

/// Content types that the client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Content type of a single result. None if the client accepts neither type.
    pub result: Option<Media>,
    /// True if the client accepts subscriptions as `multipart/mixed`.
    pub parts: bool,
    /// True if the client accepts results as `text/event-stream`.
    pub events: bool,
}

impl Accepted {
    /// Reads the Accept headers. `application/graphql-response+json` must be named. A missing header and wildcards mean
    /// `application/json`.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT);
        let text: Vec<&str> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
        let ranges: Vec<(String, f32)> = text.iter().flat_map(|line| line.split(',')).filter_map(range).collect();
        let quality = |name: &str| ranges.iter().find(|r| r.0 == name).map(|r| r.1);
        let json = quality("application/json")
            .or_else(|| quality("application/*"))
            .or_else(|| quality("*/*"))
            .unwrap_or(if ranges.is_empty() { 1.0 } else { 0.0 });
        let named = quality("application/graphql-response+json").unwrap_or(0.0);
        let streams = |name| quality(name).is_some_and(|quality| quality > 0.0);
        let (parts, events) = (streams("multipart/mixed"), streams("text/event-stream"));
        Self { result: preferred(named, json), parts, events }
    }

    /// Returns true if an operation of this type is answered with events: the client accepts them, and nothing else that fits.
    pub fn wants_events(self, kind: OperationType) -> bool {
        self.events && if kind == OperationType::Subscription { !self.parts } else { self.result.is_none() }
    }

    /// Returns the content type of an error: an accepted type, or JSON if none is accepted.
    pub fn media(self) -> Media {
        self.result.unwrap_or(Media::Json)
    }
}

fn preferred(named: f32, json: f32) -> Option<Media> {
    match () {
        () if named > 0.0 && named >= json => Some(Media::GraphqlResponse),
        () if json > 0.0 => Some(Media::Json),
        () => None,
    }
}

/// Parses a media range of an Accept header: its name in lower case, and its quality from 0 to 1.
fn range(text: &str) -> Option<(String, f32)> {
    let mut pieces = text.split(';').map(str::trim);
    let name = pieces.next().filter(|name| !name.is_empty())?;
    let quality = pieces
        .filter_map(|piece| piece.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
        .map_or(Some(1.0), |(_, value)| value.trim().parse().ok());
    Some((name.to_ascii_lowercase(), quality.unwrap_or(0.0)))
}

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Executed, with or without errors of fields.
    Executed,
    /// The query or its variables are invalid. No resolver ran.
    RequestError,
    /// Refused with this status before its query was parsed.
    Refused(StatusCode),
}

/// Returns the status of a response. The only place that decides it.
pub fn status(media: Media, outcome: RequestOutcome) -> StatusCode {
    match (outcome, media) {
        (RequestOutcome::Executed, _) | (RequestOutcome::RequestError, Media::Json) => StatusCode::OK,
        (RequestOutcome::RequestError, Media::GraphqlResponse) => StatusCode::BAD_REQUEST,
        (RequestOutcome::Refused(status), _) => status,
    }
}

/// Body of a response without `data`.
#[derive(Serialize)]
struct Errors<'a> {
    errors: &'a [ServerError],
}

/// Creates the HTTP response.
pub fn answer(media: Media, outcome: RequestOutcome, response: Response) -> axum::response::Response {
    let mut http = match outcome {
        RequestOutcome::Executed => GraphQLResponse::from(response).into_response(),
        _ => refusal(&response),
    };
    *http.status_mut() = status(media, outcome);
    let content_type = match media {
        Media::Json => "application/json; charset=utf-8",
        Media::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
    };
    let headers = http.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    http
}

/// Creates a response without `data`.
fn refusal(response: &Response) -> axum::response::Response {
    let mut http = axum::Json(Errors { errors: &response.errors }).into_response();
    http.headers_mut().extend(response.http_headers.clone());
    http
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &'static str) -> Accepted {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(text));
        Accepted::from_headers(&headers)
    }

    #[test]
    fn the_newer_type_is_used_only_where_it_is_named() {
        let named = Some(Media::GraphqlResponse);
        assert_eq!(accepted("application/graphql-response+json").result, named);
        assert_eq!(accepted("*/*").result, Some(Media::Json));
        assert_eq!(accepted("application/json, */*;q=0.1").result, Some(Media::Json));
        let apollo = "application/graphql-response+json,application/json;q=0.9";
        assert_eq!(accepted(apollo).result, named);
        let less = "application/graphql-response+json;q=0.2, application/json";
        assert_eq!(accepted(less).result, Some(Media::Json));
        assert_eq!(accepted("image/png").result, None);
        assert_eq!(accepted("application/json;q=0").result, None);
    }

    #[test]
    fn apollo_clients_read_parts() {
        let apollo = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json";
        assert!(accepted(apollo).parts);
        assert!(!accepted("*/*").parts);
    }

    #[test]
    fn events_are_sent_to_who_names_them() {
        assert!(accepted("text/event-stream").wants_events(OperationType::Query));
        let json = accepted("text/event-stream, application/json");
        assert!(json.wants_events(OperationType::Subscription) && !json.wants_events(OperationType::Query));
        assert!(!accepted("*/*").wants_events(OperationType::Subscription));
    }
}
