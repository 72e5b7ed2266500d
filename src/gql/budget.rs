//! What one request may ask for, whatever its aliases are: the complexity of its operation, bytes of rows, changes of states.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextValidation};
use async_graphql::{Request, ServerError, ServerResult, ValidationResult};
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::error::{self, Result};
use crate::task::Code;

/// Maximum complexity of an operation: its fields, those below a list times the nodes of the list.
const COMPLEXITY: usize = 100_000;

/// Maximum size of the pages of rows in one answer, in bytes.
const ROW_BYTES: usize = 16 << 20;

/// Maximum number of changes of state in the histories of one answer.
const CHANGES: usize = 20_000;

/// What a request has read so far.
pub struct Budget {
    /// Bytes of rows.
    pub rows: Allowance,
    /// Changes of state.
    pub changes: Allowance,
}

/// A limit, and how much of it is used. Reads of one kind come one after the other, so that none exceeds it unseen.
pub struct Allowance {
    most: usize,
    what: &'static str,
    used: Mutex<usize>,
}

/// The turn of one read.
pub struct Turn<'a>(MutexGuard<'a, usize>);

impl Default for Budget {
    fn default() -> Budget {
        let allowance = |most, what| Allowance { most, what, used: Mutex::default() };
        Budget { rows: allowance(ROW_BYTES, "bytes of rows"), changes: allowance(CHANGES, "changes in its histories") }
    }
}

impl Allowance {
    /// Waits for the reads before, and refuses one that comes when they have used the limit up.
    pub async fn turn(&self) -> Result<Turn<'_>> {
        let used = self.used.lock().await;
        if *used < self.most {
            return Ok(Turn(used));
        }
        let Allowance { most, what, .. } = self;
        Err(error::coded(
            Code::BadUserInput,
            format!("this request asks for more than {most} {what}: ask in several requests"),
        ))
    }
}

impl Turn<'_> {
    /// Notes how much was read.
    pub fn used(mut self, amount: usize) {
        *self.0 = self.0.saturating_add(amount);
    }
}

/// Gives each request its budget, and refuses an operation that is too complex.
pub struct Factory;

impl ExtensionFactory for Factory {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Limits)
    }
}

struct Limits;

#[async_trait]
impl Extension for Limits {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        next.run(ctx, request.data(Budget::default())).await
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> std::result::Result<ValidationResult, Vec<ServerError>> {
        let valid = next.run(ctx).await?;
        let asked = valid.complexity;
        if asked <= COMPLEXITY {
            return Ok(valid);
        }
        let text = format!(
            "the operation asks for up to {asked} values (fields times the first or last of the lists around them); \
             {COMPLEXITY} are allowed: lower first or last, or ask for fewer fields"
        );
        Err(vec![ServerError::new(text, None)])
    }
}
