//! Requests of callers that a proxy names.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::server::Server;

/// The setting by which a server believes the `X-Forwarded-For` of the tests.
pub const TRUSTED: (&str, &str) = ("PAUSA_HTTP_TRUSTED_PROXIES", "127.0.0.0/8");

/// More requests than any limit of a story admits.
const MANY: usize = 1000;

/// Begins a request of that caller.
pub fn request(server: &Server, method: Method, path: &str, caller: &str) -> RequestBuilder {
    server.client().request(method, format!("{}{path}", server.url)).header("x-forwarded-for", caller)
}

/// Begins a GraphQL request of that caller.
pub fn query(server: &Server, caller: &str) -> RequestBuilder {
    request(server, Method::POST, "/graphql", caller).json(&json!({ "query": "{ __typename }" }))
}

/// Sends GraphQL requests of that caller to the servers in turn, until one is refused. Returns how many were admitted, and the refusal.
pub async fn until_refused(servers: &[&Server], caller: &str) -> (usize, Response) {
    for n in 0..MANY {
        let answer = query(servers[n % servers.len()], caller).send().await.unwrap();
        if answer.status() != 200 {
            return (n, answer);
        }
    }
    panic!("{MANY} requests were admitted");
}

/// Checks a refusal by the limit of requests. Returns the seconds that it asks the caller to wait.
pub async fn is_limited(answer: Response) -> u64 {
    assert_eq!(answer.status(), 429);
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = answer.json().await.unwrap();
    let error = &body["errors"][0];
    assert_eq!(error["extensions"]["code"], "RATE_LIMITED", "{body}");
    assert!(error["message"].as_str().unwrap().starts_with("Too many requests from "), "{body}");
    seconds
}
