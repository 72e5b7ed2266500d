//! A connection that is made when it is needed, and replaced when it fails or when the server has changed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Connected, RedisFailure, RedisServer};

/// A connection to Redis that is made when it is needed.
pub struct SharedConnection {
    server: Arc<RedisServer>,
    current: Option<(u64, Connected)>,
}

impl SharedConnection {
    /// Returns a connection that is not made yet.
    pub fn new(server: Arc<RedisServer>) -> SharedConnection {
        SharedConnection { server, current: None }
    }

    /// Returns the connection, and connects first if there is none.
    ///
    /// # Errors
    /// If the server cannot be reached, or if another one has taken its place: then the next call connects to that.
    pub async fn get(&mut self) -> Result<&mut Connected, RedisFailure> {
        let generation = self.server.generation.load(Ordering::Relaxed);
        if let Some((_, old)) = self.current.take_if(|(known, _)| *known != generation) {
            return Err(old.failed("the connection is replaced, because the server has changed or did not answer"));
        }
        if self.current.is_none() {
            self.current = Some((generation, self.server.connect().await?));
        }
        // It was just made.
        self.current
            .as_mut()
            .map(|(_, connected)| connected)
            .ok_or_else(|| RedisFailure::new("no connection".to_owned()))
    }

    /// Gives the connection up.
    pub fn close(&mut self) {
        self.current = None;
    }
}
