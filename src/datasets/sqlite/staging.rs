//! The thread that writes a segment, for as long as its staging is open.

use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::super::{Batch, Error, Mark, Staging, Written};
use super::blocking;
use super::segment::Segment;

/// A write and where its outcome goes.
struct Write {
    batch: Batch,
    mark: Mark,
    done: oneshot::Sender<Written>,
}

/// The staging of one run. Dropped instead of closed, its thread ends by itself after the write it is in.
pub(super) struct Writing {
    cursor: Option<String>,
    writes: mpsc::Sender<Write>,
    under_way: Option<oneshot::Receiver<Written>>,
    thread: JoinHandle<()>,
}

impl Writing {
    /// Starts the thread.
    pub(super) fn start(mut segment: Segment) -> Result<Self, Error> {
        let (writes, mut inbox) = mpsc::channel::<Write>(1);
        let cursor = segment.kept.cursor.take();
        let work = move || {
            while let Some(Write { batch, mark, done }) = inbox.blocking_recv() {
                // Nobody hears of it where the run was dropped meanwhile; the next one reads the cursor.
                let outcome = segment.write(&batch, &mark);
                let _ = done.send(Written { batch, outcome });
            }
        };
        let thread = thread::Builder::new().name("segment".into()).spawn(work)?;
        Ok(Self { cursor, writes, under_way: None, thread })
    }
}

#[async_trait]
impl Staging for Writing {
    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    async fn begin(&mut self, batch: Batch, mark: Mark) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        self.under_way = Some(outcome);
        self.writes.send(Write { batch, mark, done }).await.map_err(|_| ended())
    }

    async fn committed(&mut self) -> Written {
        let lost = || Written::failed(Batch::default(), ended());
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
