//! Tests of the URLs that the client requests, and of the texts of its errors.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const CLOSED: PrivatePolicy = PrivatePolicy { allow: false, hint: "" };

fn outbound(allow_private: bool) -> Outbound {
    let settings = Settings { allow_private, read_timeout: Duration::from_secs(5), ..Settings::default() };
    Outbound::new(settings).unwrap()
}

#[test]
fn refuses_private_addresses_in_any_notation() {
    let outbound = outbound(false);
    let private = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://0/",
        "http://10.1.2.3/",
        "http://100.64.0.1/",
        "http://100.127.255.254/",
        "http://169.254.169.254/latest",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.1.1:8080/x",
        "http://192.0.0.1/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://198.51.100.7/",
        "http://203.0.113.9/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://240.0.0.1/",
        "http://[::]/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://[2001:db8::1]/",
        "http://[3fff::1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[64:ff9b:1::8.8.8.8]/",
        "https://user:pw@127.0.0.1/",
        "http://127.0.0.1./",
        "http://①②⑦.⓪.⓪.①/",
    ];
    for url in private {
        assert!(
            matches!(outbound.check_url(url), Err(UrlError::Private { .. })),
            "{url}: {:?}",
            outbound.check_url(url)
        );
    }
    for url in [
        "http://1.1.1.1/",
        "https://172.32.0.1/",
        "http://100.128.0.1/",
        "http://[2606:4700::1111]/x",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::8.8.8.8]/",
        "https://example.org/a.csv?key=1",
    ] {
        assert!(outbound.check_url(url).is_ok(), "{url}: {:?}", outbound.check_url(url));
    }
}

#[test]
fn accepts_only_http_and_https_with_a_host() {
    let outbound = outbound(true);
    for url in
        ["file:///etc/passwd", "ftp://example.org/a.csv", "gopher://example.org/", "data:text/csv,a", "javascript:1"]
    {
        assert!(matches!(outbound.check_url(url), Err(UrlError::Scheme(_))), "{url}");
    }
    for url in ["", "rows.csv", "//example.org/a", "http://", "http://[::1", "http://a b/", "http://example.org:99999/"]
    {
        assert!(matches!(outbound.check_url(url), Err(UrlError::Malformed(_))), "{url}");
    }
    assert!(outbound.check_url("http://127.0.0.1:1/").is_ok(), "private addresses are allowed");
}

#[test]
fn display_and_debug_hide_password_and_query() {
    let address = outbound(true).check_url("https://me:hunter2@example.org:8443/a.csv?key=s3cret#part").unwrap();
    assert_eq!(address.to_string(), "https://example.org:8443/a.csv");
    assert_eq!(format!("{address:?}"), "https://example.org:8443/a.csv");
    assert!(address.expose().contains("hunter2"), "the request contains it");
}

#[test]
fn checks_redirects_and_keeps_the_password_for_the_same_origin_only() {
    let outbound = outbound(false);
    let from = outbound.check_url("https://me:pw@example.org/a").unwrap();
    for (location, expected) in [
        ("/b", Ok("https://me:pw@example.org/b")),
        ("https://example.org/b", Ok("https://me:pw@example.org/b")),
        ("https://other.example/b", Ok("https://other.example/b")),
        ("https://example.org:444/b", Ok("https://example.org:444/b")),
        ("http://example.org/b", Err(UrlError::Unencrypted)),
        ("file:///etc/passwd", Err(UrlError::Scheme("file".to_owned()))),
    ] {
        let next = from.redirect(location, CLOSED);
        assert_eq!(next.as_ref().map(CheckedUrl::expose), expected.as_ref().copied(), "{location}");
    }
    assert!(matches!(from.redirect("//127.0.0.1/x", CLOSED), Err(UrlError::Private { .. })));
    let open = outbound.check_url("https://example.org/a").unwrap();
    assert!(open.redirect("http://example.org/b", CLOSED).is_ok(), "the URL has no password");
}

#[tokio::test]
async fn refuses_a_name_that_resolves_to_a_private_address() {
    let outbound = outbound(false);
    let address = outbound.check_url("http://localhost:9/").unwrap();
    let failed = outbound.get(&address, &[]).await.unwrap_err();
    assert!(matches!(&failed, RequestError::Url(UrlError::Private { host, .. }) if host == "localhost"), "{failed:?}");
}

#[tokio::test]
async fn a_connection_error_does_not_contain_the_url() {
    let outbound = outbound(true);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = outbound.check_url(&format!("http://me:hunter2@{closed}/?key=s3cret")).unwrap();
    let Err(RequestError::Connect(text)) = outbound.post(&address, &[], Vec::new(), || true).await else {
        panic!("nothing listens")
    };
    assert!(text.starts_with("could not connect: "), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("s3cret"), "{text}");
}

/// Receives one connection. Returns the bytes that came before its end.
async fn received(listener: &tokio::net::TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&bytes).contains("\r\n\r\n") {
        match stream.read(&mut piece).await.unwrap() {
            0 => break,
            n => bytes.extend_from_slice(&piece[..n]),
        }
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The permission is there until the connection is made, and withdrawn before the first byte.
#[tokio::test]
async fn nothing_is_sent_once_the_permission_is_withdrawn() {
    let outbound = outbound(true);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = outbound.check_url(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    for body in [Vec::new(), b"text".to_vec()] {
        let sending = outbound.post(&address, &[], body.clone(), || false);
        let (came, outcome) = tokio::join!(received(&listener), sending);
        assert_eq!((came.as_str(), outcome.unwrap_err()), ("", RequestError::Withheld));
        let sending = outbound.post(&address, &[], body.clone(), || true);
        let (came, outcome) = tokio::join!(received(&listener), sending);
        assert_eq!(outcome.unwrap().status(), 204);
        assert!(came.contains(&format!("content-length: {}\r\n", body.len())), "{came}");
    }
}
