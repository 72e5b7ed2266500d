//! The life of an import's segment: staging, then published or discarded.
//!
//! Epochs are raised and checked under the catalog's lock. So no newer run takes over between the check of the epoch
//! and the publish, and a discarded segment is never published. The lock is held for at most the duration of one write
//! of the previous run.

use super::super::{Error, ImportPlan, PublishedStaging, Staging};
use super::publishing::{self, PublishState};
use super::segment::Segment;
use super::{SqliteState, staging};
use crate::task::TaskId;

impl SqliteState {
    pub(super) fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error> {
        let segment = self.catalog.read(|catalog| match publishing::publish_state(catalog, task)? {
            PublishState::Recorded(record) => Ok(Err(PublishedStaging { cursor: record.cursor })),
            PublishState::Listed => Err(Error::published()),
            PublishState::Unlisted => {
                publishing::steps(catalog, plan)?;
                Segment::stage(&self.files, task, epoch, plan).map(Ok)
            }
        })?;
        Ok(match segment {
            Ok(segment) => Box::new(staging::SegmentStaging::start(segment)?),
            Err(published) => Box::new(published),
        })
    }

    pub(super) fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error> {
        self.catalog.read(|catalog| match publishing::publish_state(catalog, task)? {
            PublishState::Recorded(record) => Ok(record.cursor),
            PublishState::Listed => Ok(None),
            PublishState::Unlisted => {
                let segment = Segment::take_over(&self.files, task, epoch)?;
                Ok(segment.and_then(|segment| segment.kept.cursor))
            }
        })
    }

    pub(super) fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error> {
        let segment = self.catalog.read(|catalog| match publishing::publish_state(catalog, task)? {
            PublishState::Recorded(record) => Ok(Err(record.rows)),
            PublishState::Listed => Err(Error::no_staging()),
            PublishState::Unlisted => {
                let segment = Segment::take_over(&self.files, task, epoch)?;
                segment.ok_or_else(Error::no_staging).map(Ok)
            }
        })?;
        let segment = match segment {
            Ok(segment) => segment,
            Err(rows) => return Ok(rows),
        };
        segment.seal()?;
        let rows = self.catalog.write(|catalog| publishing::publish(catalog, task, &segment, now))?;
        drop(segment);
        self.collect_garbage()?;
        Ok(rows)
    }

    pub(super) fn discard(&self, task: TaskId, epoch: i64) -> Result<bool, Error> {
        self.catalog.read(|catalog| match publishing::publish_state(catalog, task)? {
            PublishState::Recorded(_) | PublishState::Listed => Ok(true),
            PublishState::Unlisted => {
                match Segment::take_over(&self.files, task, epoch) {
                    Err(error @ (Error::LeaseLost | Error::Unavailable(_))) => return Err(error),
                    // The disk may be full or the file damaged. Deleting the file stops the previous run, fenced or
                    // not. The segment is closed first, because closing the last handle of a deleted file waits until
                    // its space is released.
                    fenced => drop(fenced),
                }
                self.files.remove(&task.to_string()).map(|()| false)
            }
        })
    }
}
