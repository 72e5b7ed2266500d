//! Which content type and which status an answer has.

use async_graphql::{Response, ServerError};
use async_graphql_axum::GraphQLResponse;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;

/// The two content types of a single result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`, where the status says little.
    Json,
    /// `application/graphql-response+json`, where a request error has a status of its own.
    GraphqlResponse,
}

/// What the client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// How a single result is written; none where the client reads neither type.
    pub result: Option<Media>,
    /// Can the client read subscriptions as `multipart/mixed`?
    pub parts: bool,
}

impl Accepted {
    /// Reads the Accept headers. `application/graphql-response+json` is used only where it is
    /// named; a missing header and wildcards give `application/json`.
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
        Self { result: preferred(named, json), parts: quality("multipart/mixed").is_some_and(|q| q > 0.0) }
    }

    /// The type of an error's answer: what the client reads, or JSON all the same.
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

/// One media range of an Accept header, in lower case, and its quality from 0 to 1.
fn range(text: &str) -> Option<(String, f32)> {
    let mut pieces = text.split(';').map(str::trim);
    let name = pieces.next().filter(|name| !name.is_empty())?;
    let quality = pieces
        .filter_map(|piece| piece.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
        .map_or(Some(1.0), |(_, value)| value.trim().parse().ok());
    Some((name.to_ascii_lowercase(), quality.unwrap_or(0.0)))
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed, with or without errors of single fields.
    Executed,
    /// Its query or its variables are wrong: nothing of it ran.
    RequestError,
    /// It was refused, with this status, before its query was looked at.
    Refused(StatusCode),
}

/// The status of an answer: the one place that decides it.
pub fn status(media: Media, outcome: Outcome) -> StatusCode {
    match (outcome, media) {
        (Outcome::Executed, _) | (Outcome::RequestError, Media::Json) => StatusCode::OK,
        (Outcome::RequestError, Media::GraphqlResponse) => StatusCode::BAD_REQUEST,
        (Outcome::Refused(status), _) => status,
    }
}

/// The answer to a request that never ran: it has no `data`.
#[derive(Serialize)]
struct Errors<'a> {
    errors: &'a [ServerError],
}

/// The HTTP answer to a request.
pub fn answer(media: Media, outcome: Outcome, response: Response) -> axum::response::Response {
    let mut http = match outcome {
        Outcome::Executed => GraphQLResponse::from(response).into_response(),
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

/// The body of an answer without `data`.
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
}
