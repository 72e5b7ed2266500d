//! Saves the numbers of a computation: each is a file in the task's folder.

use tokio::fs;

use crate::files;
use crate::runner::{Context, Failure, StopReason};
use pi_digits::{PiPlan, StackValue, ValueName};

/// Saves a piece, synced to disk.
pub async fn save(context: &Context, name: &ValueName, bytes: Vec<u8>) -> Result<(), StopReason> {
    let path = context.work().await?.join(name.to_string());
    let saved = context.uninterrupted(async move { files::put(&path, &bytes).await });
    Ok(saved.await?.map_err(io_failure)?)
}

/// Loads the pieces on the stack after `steps` steps. None if one of them is missing or incomplete.
pub async fn load(context: &Context, plan: &PiPlan, steps: usize) -> Result<Option<Vec<StackValue>>, StopReason> {
    let folder = context.work().await?;
    let mut stack = Vec::new();
    for name in plan.stack(steps) {
        let bytes = match fs::read(folder.join(name.to_string())).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_failure(error).into()),
        };
        match StackValue::from_bytes(&bytes) {
            Some(piece) if piece.name() == name => stack.push(piece),
            _ => return Ok(None),
        }
    }
    Ok(Some(stack))
}

/// Deletes a piece that is not needed any more.
pub async fn delete(context: &Context, name: &ValueName) -> Result<(), StopReason> {
    let path = context.work().await?.join(name.to_string());
    match context.uninterrupted(fs::remove_file(path)).await? {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_failure(error).into()),
        _ => Ok(()),
    }
}

fn io_failure(error: std::io::Error) -> Failure {
    Failure::io("the saved parts of the computation", &error)
}
