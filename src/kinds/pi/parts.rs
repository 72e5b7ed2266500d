//! Finished parts of the sum, each a file in the task's folder, named by its terms.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tokio::fs;

use super::digits::{Plan, Triple, What};
use crate::files;
use crate::runner::{Context, Failure, Stop};

/// Keeps the bytes of the triple of these terms, on disk for good.
pub async fn save(context: &Context, range: &Range<u64>, bytes: &[u8]) -> Result<(), Stop> {
    let path = path(&context.work().await?, range);
    Ok(files::put(&path, bytes).await.map_err(lost)?)
}

/// The triples that lie on the stack after `steps` steps; none where one of them is not there or not whole.
pub async fn load(context: &Context, plan: &Plan, steps: usize) -> Result<Option<Vec<Triple>>, Stop> {
    let folder = context.work().await?;
    let mut stack = Vec::new();
    for range in ranges(plan, steps) {
        let bytes = match fs::read(path(&folder, &range)).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(lost(error).into()),
        };
        match Triple::from_bytes(&bytes) {
            Some(triple) if triple.range() == range => stack.push(triple),
            _ => return Ok(None),
        }
    }
    Ok(Some(stack))
}

/// Deletes the triples of these terms: they are joined.
pub async fn forget(context: &Context, joined: &[Range<u64>]) -> Result<(), Stop> {
    let folder = context.work().await?;
    for range in joined {
        match fs::remove_file(path(&folder, range)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(lost(error).into()),
            _ => {}
        }
    }
    Ok(())
}

/// The terms of the triples on the stack after `steps` steps: a join replaces the two on top.
fn ranges(plan: &Plan, steps: usize) -> Vec<Range<u64>> {
    let mut stack: Vec<Range<u64>> = Vec::new();
    for step in plan.steps.iter().take(steps) {
        match &step.what {
            What::Part(range) => stack.push(range.clone()),
            What::Join(range) => {
                stack.truncate(stack.len().saturating_sub(2));
                stack.push(range.clone());
            }
            What::Root | What::Division | What::Text => {}
        }
    }
    stack
}

fn path(folder: &Path, range: &Range<u64>) -> PathBuf {
    folder.join(format!("terms-{}-{}", range.start, range.end))
}

fn lost(error: std::io::Error) -> Failure {
    Failure::io("the finished parts of the sum", &error)
}
