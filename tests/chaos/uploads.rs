//! Uploads while two nodes share a store and a folder.

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::two_nodes::TwoNodes;
use crate::harness::csv;
use crate::harness::server::PATIENCE;
use crate::harness::tus::{Tus, asked};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_node_receives_an_upload_the_other_refuses_it_and_either_resumes_it() {
    let two = TwoNodes::start(&[]).await;
    let file = csv::people(100_000).into_bytes();
    let half = file.len() / 2;
    let begun = Tus::begin(&two.a, file.len()).await;
    let unfinished = two.files().join("unfinished");
    let at_a = Tus { unfinished, ..begun };
    let at_b = Tus { server: &two.b, path: at_a.path.clone(), unfinished: at_a.unfinished.clone() };

    let mut socket = at_a.hang(0, &file[..half - 1], half).await;
    at_a.until_there(1).await;
    assert_eq!(at_b.send(0, &file[..half]).await.0, 423);
    let asked = asked(&two.b, Method::HEAD, &at_b.path).send().await.unwrap();
    assert_eq!(asked.status(), 423);
    socket.write_all(&file[half - 1..half]).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");

    assert_eq!(at_b.offset().await, half);
    assert_eq!(at_b.send(half, &file[half..]).await, (204, file.len().to_string()));
    assert_eq!(at_a.offset().await, file.len());
    assert_eq!(at_a.rows("people").await, Some(100_000));
    assert!(two.b.exported("people").await == file, "every byte is as it was sent");
}
