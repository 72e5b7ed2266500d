//! The embedded web pages: they are served completely, are revalidated, and load nothing from other servers.

use std::net::SocketAddr;

use axum::Router;
use pausa::http::{playground, start_page};
use reqwest::Response;
use tokio::net::TcpListener;

const PACKED: &str = "/graphiql/graphiql.min.js";

async fn served() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router: Router = playground::router().merge(start_page::router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = crate::harness::client().get(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// Returns the URLs that a page loads by `src`, and by `href` of a stylesheet.
fn loaded(page: &str) -> Vec<&str> {
    let tags = page.split('<').filter(|tag| tag.starts_with("script") || tag.contains("stylesheet"));
    tags.filter_map(|tag| tag.split(['"']).find(|part| part.contains('/') && !part.contains('<'))).collect()
}

#[tokio::test]
async fn everything_that_the_playground_loads_is_embedded() {
    let address = served().await;
    let page = get(address, "/graphiql", &[]).await.text().await.expect("a page");
    let files = loaded(&page);
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files.iter().chain(&["/graphiql/tour.graphql", "/graphiql/LICENSES.txt"]) {
        assert_eq!(get(address, file, &[]).await.status(), 200, "{file}");
    }
    assert_eq!(get(address, "/graphiql/other.js", &[]).await.status(), 404);
}

#[tokio::test]
async fn every_page_forbids_content_of_other_servers() {
    let address = served().await;
    for path in ["/", "/graphiql", PACKED] {
        let answer = get(address, path, &[]).await;
        assert!(header(&answer, "content-security-policy").starts_with("default-src 'self';"), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn a_file_in_the_clients_cache_is_not_sent_again() {
    let address = served().await;
    for path in ["/", "/graphiql", PACKED] {
        let first = get(address, path, &[]).await;
        let tag = header(&first, "etag").to_owned();
        let again = get(address, path, &[("if-none-match", &format!("\"x\", W/{tag}"))]).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.bytes().await.expect("no body").len(), 0, "{path}");
    }
}

#[tokio::test]
async fn compressed_files_are_sent_to_clients_that_accept_them() {
    let address = served().await;
    for accepted in ["gzip", "br, GZIP;q=0.5", "*", "identity;q=0, *;q=0.1"] {
        let answer = get(address, PACKED, &[("accept-encoding", accepted)]).await;
        assert_eq!(header(&answer, "content-encoding"), "gzip", "{accepted}");
        assert_eq!(answer.bytes().await.expect("a body").first(), Some(&0x1f), "{accepted}");
    }
    for refused in ["identity", "gzip;q=0", "gzip;q=0, *", "br"] {
        assert_eq!(get(address, PACKED, &[("accept-encoding", refused)]).await.status(), 406, "{refused}");
    }
}
