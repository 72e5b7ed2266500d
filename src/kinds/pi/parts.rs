//! Saves the numbers of a computation: each is a working file of the task.

use crate::disk::NameSync;
use crate::runner::{Context, Failure, StopReason};
use pi_digits::{PiPlan, StackValue, ValueName};

/// Saves a piece, synced to disk.
pub async fn save(context: &Context, name: &ValueName, bytes: Vec<u8>) -> Result<(), StopReason> {
    let (scratch, name) = (context.scratch(), name.to_string());
    let saved = context.blocking(move || scratch.write(&name, &bytes, NameSync::Now));
    Ok(saved.await?.map_err(io_failure)?)
}

/// Loads the pieces on the stack after `steps` steps. None if one of them is missing or incomplete.
pub async fn load(context: &Context, plan: &PiPlan, steps: usize) -> Result<Option<Vec<StackValue>>, StopReason> {
    let mut stack = Vec::new();
    for name in plan.stack(steps) {
        let (scratch, file) = (context.scratch(), name.to_string());
        let read = context.blocking(move || scratch.read(&file)).await?.map_err(io_failure)?;
        let Some(bytes) = read else { return Ok(None) };
        match StackValue::from_bytes(&bytes) {
            Some(piece) if piece.name() == name => stack.push(piece),
            _ => return Ok(None),
        }
    }
    Ok(Some(stack))
}

/// Deletes a piece that is not needed any more.
pub async fn delete(context: &Context, name: &ValueName) -> Result<(), StopReason> {
    let (scratch, name) = (context.scratch(), name.to_string());
    Ok(context.blocking(move || scratch.remove(&name)).await?.map_err(io_failure)?)
}

fn io_failure(error: std::io::Error) -> Failure {
    Failure::io("the saved parts of the computation", &error)
}
