//! `pausa health`, the health check of images.

use rustix::process::Signal;

use crate::harness::server::{PATIENCE, Server, run};

/// Runs `pausa health` for a server.
async fn health(server: &Server, more: &[&str]) -> (Option<i32>, String) {
    let listen = server.url.trim_start_matches("http://");
    run(server.folder(), &[&["health", "--listen", listen], more].concat()).await
}

#[tokio::test]
async fn the_exit_code_says_if_the_server_is_ready() {
    let server = Server::with(&[("PAUSA_SHUTDOWN_DRAIN", "3600")]).await;
    assert_eq!(health(&server, &[]).await, (Some(0), "ready\n".to_owned()));
    server.signal(Signal::TERM);
    let drained = async {
        while health(&server, &[]).await.0 == Some(0) {}
        health(&server, &[]).await
    };
    assert_eq!(tokio::time::timeout(PATIENCE, drained).await.unwrap(), (Some(1), "draining\n".to_owned()));
    assert_eq!(health(&server, &["--alive"]).await, (Some(0), "alive\n".to_owned()));
}

#[tokio::test]
async fn nothing_that_listens_is_not_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let (code, printed) = run(folder.path(), &["health", "--listen", "127.0.0.1:1"]).await;
    assert_eq!(code, Some(1));
    assert!(printed.starts_with("pausa: no answer from http://127.0.0.1:1/readyz: "), "{printed}");
}
