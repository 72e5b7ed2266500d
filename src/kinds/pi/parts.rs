//! Saves the numbers of a computation: each is a working file of the task. If the working files belong to this node only, copies in
//! the blob store let another node continue.

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

/// Copies saved pieces to the blob store.
pub async fn share(context: &Context, names: &[ValueName]) -> Result<(), Failure> {
    for name in names {
        let (scratch, file) = (context.scratch(), name.to_string());
        let read = context.blocking(move || scratch.read(&file)).await?.map_err(io_failure)?;
        let bytes = read.ok_or_else(|| Failure::internal(format!("The saved part {name} is missing.")))?;
        let blobs = &context.files().blobs;
        blobs.keep_part(context.id(), &name.to_string(), bytes.into()).await.map_err(io_failure)?;
    }
    Ok(())
}

/// Fetches the pieces on the stack after `steps` steps from the blob store, and saves them. None if one of them is missing.
pub async fn fetch(context: &Context, plan: &PiPlan, steps: usize) -> Result<Option<Vec<StackValue>>, StopReason> {
    for name in plan.stack(steps) {
        let part = context.files().blobs.part(context.id(), &name.to_string()).await.map_err(io_failure)?;
        let Some(bytes) = part else { return Ok(None) };
        save(context, &name, bytes.into()).await?;
    }
    load(context, plan, steps).await
}

/// Deletes copies that are not needed any more.
pub async fn withdraw(context: &Context, names: &[ValueName]) -> Result<(), Failure> {
    for name in names {
        context.files().blobs.delete_part(context.id(), &name.to_string()).await.map_err(io_failure)?;
    }
    Ok(())
}

/// Deletes a piece that is not needed any more.
pub async fn delete(context: &Context, name: &ValueName) -> Result<(), StopReason> {
    let (scratch, name) = (context.scratch(), name.to_string());
    Ok(context.blocking(move || scratch.remove(&name)).await?.map_err(io_failure)?)
}

fn io_failure(error: std::io::Error) -> Failure {
    Failure::io("the saved parts of the computation", &error)
}
