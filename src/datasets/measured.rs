//! Counts the calls of a database of datasets and measures their duration.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::{
    Batch, Checkpoint, ColumnFilter, CsvPage, Dataset, DatasetName, Datasets, Error, ImportPlan, PageLimit, PinHolder,
    RowPage, RowRequest, RowWindow, Selection, Snapshot, SnapshotReader, Staging, WriteOutcome,
};
use crate::access::Caller;
use crate::clock::Clock;
use crate::metrics::Calls;
use crate::task::TaskId;

/// Wraps a database and counts its calls in `calls`.
pub fn measured(datasets: Arc<dyn Datasets>, calls: Calls) -> Arc<dyn Datasets> {
    Arc::new(Measured { inner: datasets, calls })
}

struct Measured<T> {
    inner: T,
    calls: Calls,
}

impl<T> Measured<T> {
    async fn call<R>(&self, verb: &'static str, call: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        let begin = Clock::monotonic();
        let outcome = call.await;
        self.ended(verb, begin, &outcome);
        outcome
    }

    fn ended<R>(&self, verb: &'static str, begin: Instant, outcome: &Result<R, Error>) {
        self.calls.ended(verb, begin, outcome.as_ref().is_err_and(Error::is_unavailable));
    }
}

#[async_trait]
impl Datasets for Measured<Arc<dyn Datasets>> {
    async fn get(&self, caller: &Caller, name: &DatasetName) -> Result<Option<Dataset>, Error> {
        self.call("look", self.inner.get(caller, name)).await
    }

    async fn list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        before: Option<&str>,
        limit: u32,
        from_end: bool,
    ) -> Result<Vec<Dataset>, Error> {
        self.call("look", self.inner.list(caller, after, before, limit, from_end)).await
    }

    async fn count(&self, caller: &Caller) -> Result<u64, Error> {
        self.call("look", self.inner.count(caller)).await
    }

    async fn importers(&self, caller: &Caller, name: &DatasetName, limit: u32) -> Result<Vec<TaskId>, Error> {
        self.call("look", self.inner.importers(caller, name, limit)).await
    }

    async fn sizes(&self, caller: &Caller, names: &[DatasetName]) -> Result<HashMap<DatasetName, u64>, Error> {
        self.call("look", self.inner.sizes(caller, names)).await
    }

    async fn rows(&self, caller: &Caller, name: &DatasetName, request: &RowRequest) -> Result<RowPage, Error> {
        self.call("read", self.inner.rows(caller, name, request)).await
    }

    async fn count_rows(&self, caller: &Caller, name: &DatasetName, filters: &[ColumnFilter]) -> Result<u64, Error> {
        self.call("read", self.inner.count_rows(caller, name, filters)).await
    }

    async fn drop_dataset(&self, caller: &Caller, name: &DatasetName) -> Result<bool, Error> {
        self.call("drop", self.inner.drop_dataset(caller, name)).await
    }

    async fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error> {
        let staging = self.call("stage", self.inner.stage(task, epoch, plan)).await?;
        let inner = Measured { inner: staging, calls: self.calls.clone() };
        Ok(Box::new(MeasuredStaging { inner, begun: VecDeque::new() }))
    }

    async fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error> {
        self.call("stage", self.inner.staged_cursor(task, epoch)).await
    }

    async fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error> {
        self.call("publish", self.inner.publish(task, epoch, now)).await
    }

    async fn rejects(&self, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error> {
        self.call("read", self.inner.rejects(task, from)).await
    }

    async fn discard(&self, task: TaskId, epoch: i64) -> Result<bool, Error> {
        self.call("discard", self.inner.discard(task, epoch)).await
    }

    async fn purge_import(&self, task: TaskId) -> Result<(), Error> {
        self.call("discard", self.inner.purge_import(task)).await
    }

    async fn pin(&self, caller: &Caller, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error> {
        self.call("pin", self.inner.pin(caller, holder, name)).await
    }

    async fn renew(&self, holder: PinHolder) -> Result<(), Error> {
        self.call("pin", self.inner.renew(holder)).await
    }

    fn reader(&self, snapshot: &Snapshot, selection: &Selection) -> Arc<dyn SnapshotReader> {
        let reader = self.inner.reader(snapshot, selection);
        Arc::new(Measured { inner: reader, calls: self.calls.clone() })
    }

    async fn unpin(&self, holder: PinHolder) -> Result<(), Error> {
        self.call("pin", self.inner.unpin(holder)).await
    }

    async fn assign(&self, store: &str) -> Result<(), Error> {
        self.inner.assign(store).await
    }

    fn connections(&self) -> Option<(u32, usize, u32)> {
        self.inner.connections()
    }
}

#[async_trait]
impl SnapshotReader for Measured<Arc<dyn SnapshotReader>> {
    async fn count(&self, window: RowWindow) -> Result<u64, Error> {
        self.call("read", self.inner.count(window)).await
    }

    async fn read(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        self.call("read", self.inner.read(window, limit)).await
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn is_stopped(&self) -> bool {
        self.inner.is_stopped()
    }
}

/// A staging, and the start times of its active writes, oldest first.
struct MeasuredStaging {
    inner: Measured<Box<dyn Staging>>,
    begun: VecDeque<Instant>,
}

#[async_trait]
impl Staging for MeasuredStaging {
    fn cursor(&self) -> Option<&str> {
        self.inner.inner.cursor()
    }

    fn write_slots(&self) -> usize {
        self.inner.inner.write_slots()
    }

    fn rows_per_write(&self) -> usize {
        self.inner.inner.rows_per_write()
    }

    async fn begin_write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<(), Error> {
        let begin = Clock::monotonic();
        let begun = self.inner.inner.begin_write(batch, checkpoint).await;
        match &begun {
            Ok(()) => self.begun.push_back(begin),
            Err(_) => self.inner.ended("write", begin, &begun),
        }
        begun
    }

    async fn finish_write(&mut self) -> WriteOutcome {
        let written = self.inner.inner.finish_write().await;
        if let Some(begin) = self.begun.pop_front() {
            self.inner.ended("write", begin, &written.outcome);
        }
        written
    }

    fn cancel_writes(&mut self) {
        self.inner.inner.cancel_writes();
    }

    async fn close(self: Box<Self>) -> Result<(), Error> {
        self.inner.inner.close().await
    }
}
