//! What is computed so far, each number a file in the task's folder.

use tokio::fs;

use crate::files;
use crate::runner::{Context, Failure, StopReason};
use pi_digits::{Name, Piece, Plan};

/// Keeps a piece, on disk for good.
pub async fn save(context: &Context, name: &Name, bytes: Vec<u8>) -> Result<(), StopReason> {
    let path = context.work().await?.join(name.to_string());
    let saved = context.uninterrupted(async move { files::put(&path, &bytes).await });
    Ok(saved.await?.map_err(lost)?)
}

/// The pieces that lie on the stack after `steps` steps; none where one of them is not there or not whole.
pub async fn load(context: &Context, plan: &Plan, steps: usize) -> Result<Option<Vec<Piece>>, StopReason> {
    let folder = context.work().await?;
    let mut stack = Vec::new();
    for name in plan.stack(steps) {
        let bytes = match fs::read(folder.join(name.to_string())).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(lost(error).into()),
        };
        match Piece::from_bytes(&bytes) {
            Some(piece) if piece.name() == name => stack.push(piece),
            _ => return Ok(None),
        }
    }
    Ok(Some(stack))
}

/// Deletes a piece that is needed no more.
pub async fn forget(context: &Context, name: &Name) -> Result<(), StopReason> {
    let path = context.work().await?.join(name.to_string());
    match context.uninterrupted(fs::remove_file(path)).await? {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(lost(error).into()),
        _ => Ok(()),
    }
}

fn lost(error: std::io::Error) -> Failure {
    Failure::io("the finished parts of the computation", &error)
}
