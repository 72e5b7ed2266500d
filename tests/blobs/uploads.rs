//! Uploads: as one stream, and in parts.

use std::io::Read;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use pausa::files::UploadOutcome;

use super::{Store, assert_missing, content, fingerprint, is_missing, open, read, read_all, send, upload};

pub async fn a_stream_becomes_a_blob_with_its_size_and_hash(store: &dyn Store) {
    let files = open(store).await;
    for (id, bytes) in [("empty", Vec::new()), ("large", content())] {
        assert_eq!(send(&files.blobs, id, &bytes).await, fingerprint(&bytes));
        assert_eq!(read_all(&open(store).await.blobs, &upload(id), bytes.len() as u64).await, bytes);
    }
}

pub async fn a_stream_is_not_a_blob_before_its_end(store: &dyn Store) {
    let files = open(store).await;
    let mut writer = files.blobs.create_upload("a", 100).await.unwrap();
    writer.write(b"some").await.unwrap();
    assert_missing(&files.blobs, &upload("a")).await;
    // The process crashes.
    drop(writer);
    let files = store.open(Timestamp::MAX).await;
    assert_missing(&files.blobs, &upload("a")).await;
    assert_eq!(store.objects().await, 0);
    assert_eq!(send(&files.blobs, "a", b"again").await, fingerprint(b"again"));
}

pub async fn a_stream_that_is_too_large_leaves_nothing(store: &dyn Store) {
    let files = open(store).await;
    let mut writer = files.blobs.create_upload("a", 6).await.unwrap();
    assert_eq!(writer.write(b"four").await.unwrap(), UploadOutcome::Taken);
    assert_eq!(writer.write(b"more").await.unwrap(), UploadOutcome::TooLarge);
    writer.abandon().await.unwrap();
    assert_missing(&files.blobs, &upload("a")).await;
    assert_eq!(store.objects().await, 0);
}

pub async fn parts_become_a_blob_with_its_size_and_hash(store: &dyn Store) {
    let files = open(store).await;
    let bytes = content();
    let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
    for piece in bytes.chunks(90_000) {
        assert_eq!(parts.write(piece, u64::MAX).await.unwrap(), UploadOutcome::Taken);
    }
    assert_eq!(parts.sync().await.unwrap(), bytes.len() as u64);
    assert_missing(&files.blobs, &upload("a")).await;
    assert_eq!(parts.finish().await.unwrap(), fingerprint(&bytes));
    assert_eq!(parts.finish().await.unwrap(), fingerprint(&bytes), "finishing twice is the same as once");
    assert_eq!(read_all(&files.blobs, &upload("a"), bytes.len() as u64).await, bytes);
    assert_eq!(store.objects().await, 1 + store.notes_of_an_upload());
}

pub async fn parts_survive_a_crash_and_a_change_of_process(store: &dyn Store) {
    let mut sent = Vec::new();
    for part in ["first,", "second,", "third"] {
        let files = open(store).await;
        assert_eq!(files.blobs.received_bytes("a").await.unwrap(), sent.len() as u64);
        let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
        assert_eq!(parts.size(), sent.len() as u64);
        parts.write(part.as_bytes(), 100).await.unwrap();
        sent.extend(part.as_bytes());
        assert_eq!(parts.sync().await.unwrap(), sent.len() as u64);
    }
    let files = open(store).await;
    let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
    assert_eq!(parts.write(b"too much", sent.len() as u64 + 3).await.unwrap(), UploadOutcome::TooLarge);
    sent.extend(b"too");
    assert_eq!(parts.finish().await.unwrap(), fingerprint(&sent));
}

pub async fn one_process_writes_parts_at_a_time(store: &dyn Store) {
    let (files, other) = (open(store).await, open(store).await);
    let mut first = files.blobs.resume_upload("a").await.unwrap().unwrap();
    first.write(b"known,", 100).await.unwrap();
    assert_eq!(first.sync().await.unwrap(), 6);
    first.write(b"first", 100).await.unwrap();
    // The store gives the upload to one of them.
    let Some(mut second) = other.blobs.resume_upload("a").await.unwrap() else {
        assert_eq!(first.sync().await.unwrap(), 11);
        assert!(other.blobs.resume_upload("b").await.unwrap().is_some());
        drop(first);
        assert_eq!(other.blobs.resume_upload("a").await.unwrap().unwrap().size(), 11);
        return;
    };
    assert_eq!(second.size(), 6);
    second.write(b"second", 100).await.unwrap();
    assert_eq!(second.sync().await.unwrap(), 12);
    assert!(first.sync().await.is_err(), "what the first one received is not in the upload");
    assert!(first.finish().await.is_err());
    drop(first);
    assert_eq!(second.finish().await.unwrap(), fingerprint(b"known,second"));
    assert_eq!(read_all(&other.blobs, &upload("a"), 12).await, b"known,second");
}

pub async fn an_upload_that_was_completed_before_a_crash_is_completed_again(store: &dyn Store) {
    let files = open(store).await;
    let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
    parts.write(b"all", 3).await.unwrap();
    parts.finish().await.unwrap();
    drop(parts);
    // The task store does not know that: the client asks for the offset, and the node finishes the upload.
    let files = open(store).await;
    let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
    assert_eq!(parts.size(), 3);
    assert_eq!(parts.finish().await.unwrap(), fingerprint(b"all"));
    assert_eq!(read_all(&files.blobs, &upload("a"), 3).await, b"all");
}

pub async fn any_range_is_read_exactly(store: &dyn Store) {
    let files = open(store).await;
    let bytes = content();
    let size = bytes.len() as u64;
    send(&files.blobs, "a", &bytes).await;
    for (from, length) in [(0, size), (0, 0), (5, 1), (131_071, 2), (77, 400_000), (size - 1, 1), (size, 0)] {
        let expected = &bytes[usize::try_from(from).unwrap()..][..usize::try_from(length).unwrap()];
        assert_eq!(read(&files.blobs, &upload("a"), size, from, length).await, expected, "{length} from {from}");
    }
    let beyond = files.blobs.open(&upload("a")).await.unwrap().bytes(1, size);
    assert!(beyond.try_collect::<Vec<_>>().await.is_err(), "a stream that ends early is an error");
}

pub async fn a_local_file_has_the_bytes_of_the_blob(store: &dyn Store) {
    let files = open(store).await;
    send(&files.blobs, "a", &content()).await;
    let scratch = files.scratch.of(crate::harness::task_id());
    let open = async || files.blobs.open_file(&upload("a"), &scratch).await.unwrap();
    let (mut file, again) = (open().await, open().await);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, content());
    let modified = |file: &std::fs::File| file.metadata().unwrap().modified().unwrap();
    assert_eq!(modified(&file), modified(&again), "an import recognizes its file by that time");
    let missing = files.blobs.open_file(&upload("b"), &scratch).await.err();
    assert!(missing.is_some_and(|error| is_missing(&error)));
}

pub async fn what_is_deleted_is_gone_and_its_streams_end_well(store: &dyn Store) {
    let files = open(store).await;
    let bytes = content();
    send(&files.blobs, "a", &bytes).await;
    let reader = files.blobs.open(&upload("a")).await.unwrap();
    let mut stream = reader.bytes(0, bytes.len() as u64);
    let mut read = stream.try_next().await.unwrap().unwrap().to_vec();
    files.blobs.delete_upload("a").await.unwrap();
    files.blobs.delete_upload("a").await.unwrap();
    assert_missing(&files.blobs, &upload("a")).await;
    while let Some(piece) = stream.try_next().await.unwrap() {
        read.extend(piece);
    }
    assert_eq!(read, bytes);
    let mut parts = files.blobs.resume_upload("b").await.unwrap().unwrap();
    parts.write(b"some", 100).await.unwrap();
    parts.sync().await.unwrap();
    drop(parts);
    files.blobs.delete_upload("b").await.unwrap();
    assert_eq!(files.blobs.received_bytes("b").await.unwrap(), 0);
    assert_eq!(store.objects().await, 0);
}

pub async fn old_uploads_are_listed(store: &dyn Store) {
    let files = open(store).await;
    send(&files.blobs, "complete", b"x").await;
    let mut parts = files.blobs.resume_upload("in-parts").await.unwrap().unwrap();
    parts.write(b"some", 100).await.unwrap();
    parts.sync().await.unwrap();
    let list = async |before: Timestamp| {
        let mut ids = files.blobs.list_old_uploads(before).await.unwrap();
        ids.sort();
        ids.dedup();
        ids
    };
    assert_eq!(list(Timestamp::MAX).await, ["complete", "in-parts"]);
    assert!(list(Timestamp::UNIX_EPOCH).await.is_empty());
    files.blobs.delete_upload("complete").await.unwrap();
    assert_eq!(list(Timestamp::MAX).await, ["in-parts"]);
}
