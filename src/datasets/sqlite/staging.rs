//! The thread that writes a segment while its staging is open.

use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::super::{Batch, Checkpoint, Error, Staging, WriteOutcome};
use super::blocking;
use super::segment::Segment;

/// A write, and the channel for its outcome.
struct SegmentWrite {
    batch: Batch,
    checkpoint: Checkpoint,
    done: oneshot::Sender<WriteOutcome>,
}

/// The staging of one run. If it is dropped without being closed, its thread ends after the current write.
pub(super) struct SegmentStaging {
    cursor: Option<String>,
    writes: mpsc::Sender<SegmentWrite>,
    under_way: Option<oneshot::Receiver<WriteOutcome>>,
    thread: JoinHandle<()>,
}

impl SegmentStaging {
    /// Starts the thread.
    pub(super) fn start(mut segment: Segment) -> Result<Self, Error> {
        let (writes, mut inbox) = mpsc::channel::<SegmentWrite>(1);
        let cursor = segment.kept.cursor.take();
        let work = move || {
            while let Some(SegmentWrite { batch, checkpoint, done }) = inbox.blocking_recv() {
                // If the run was dropped meanwhile, the outcome has no receiver. The next run reads the cursor.
                let outcome = segment.write(&batch, &checkpoint);
                let _ = done.send(WriteOutcome { batch, outcome });
            }
        };
        let thread = thread::Builder::new().name("segment".into()).spawn(work)?;
        Ok(Self { cursor, writes, under_way: None, thread })
    }
}

#[async_trait]
impl Staging for SegmentStaging {
    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    async fn begin_write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        self.under_way = Some(outcome);
        self.writes.send(SegmentWrite { batch, checkpoint, done }).await.map_err(|_| ended())
    }

    async fn finish_write(&mut self) -> WriteOutcome {
        let lost = || WriteOutcome::failed(Batch::default(), ended());
        let Some(outcome) = &mut self.under_way else { return lost() };
        let written = outcome.await.unwrap_or_else(|_| lost());
        self.under_way = None;
        written
    }

    async fn close(self: Box<Self>) -> Result<(), Error> {
        drop(self.writes);
        let thread = self.thread;
        blocking(move || thread.join().map_err(|_| Error::Failed("the thread of a segment panicked".into()))).await
    }
}

fn ended() -> Error {
    Error::Failed("the thread that writes the segment ended".into())
}
