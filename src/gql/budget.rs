//! Limits of one request, however many aliases it uses: the complexity of its operation, bytes of rows, state changes.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextValidation};
use async_graphql::{Request, ServerError, ServerResult, ValidationResult};
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::error::{self, Result};
use super::loader::Loaders;
use crate::config::GraphqlLimits;
use crate::task::Code;

/// The amounts that one request may read.
pub struct Budget {
    /// Bytes of rows.
    pub rows: ReadLimit,
    /// State changes.
    pub changes: ReadLimit,
}

/// A limit, and the amount used so far. Only one read at a time holds the permit, so that concurrent reads cannot exceed
/// the limit together.
pub struct ReadLimit {
    limit: usize,
    unit: &'static str,
    used: Mutex<usize>,
}

/// Permission for one read.
pub struct ReadPermit<'a>(MutexGuard<'a, usize>);

impl Budget {
    fn new(limits: RequestLimits) -> Budget {
        let limited = |limit, unit| ReadLimit { limit, unit, used: Mutex::default() };
        Budget {
            rows: limited(limits.row_bytes, "bytes of rows"),
            changes: limited(limits.changes, "state changes of histories"),
        }
    }
}

impl ReadLimit {
    /// Waits for earlier reads.
    ///
    /// # Errors
    /// BAD_USER_INPUT if they have used up the limit.
    pub async fn permit(&self) -> Result<ReadPermit<'_>> {
        let used = self.used.lock().await;
        if *used < self.limit {
            return Ok(ReadPermit(used));
        }
        let ReadLimit { limit, unit, .. } = self;
        let text = format!("The request reads more than {limit} {unit}. Split it into several requests.");
        Err(error::coded(Code::BadUserInput, text))
    }
}

impl ReadPermit<'_> {
    /// Adds the amount that was read.
    pub fn spend(mut self, amount: usize) {
        *self.0 = self.0.saturating_add(amount);
    }
}

/// Gives each request its [`Budget`] and its [`Loaders`], and refuses an operation that is too complex.
#[derive(Clone, Copy)]
pub struct RequestLimits {
    /// Maximum complexity of an operation: its fields, those below a list times the nodes of the list.
    complexity: usize,
    /// Maximum size of the pages of rows in one response, in bytes.
    row_bytes: usize,
    /// Maximum number of state changes in the histories of one response.
    changes: usize,
}

impl RequestLimits {
    /// Returns the limits of the settings.
    pub fn of(limits: &GraphqlLimits) -> RequestLimits {
        RequestLimits {
            complexity: limits.max_complexity,
            row_bytes: limits.max_row_bytes,
            changes: limits.max_history_changes,
        }
    }
}

impl ExtensionFactory for RequestLimits {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(*self)
    }
}

#[async_trait]
impl Extension for RequestLimits {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        next.run(ctx, request.data(Budget::new(*self)).data(Loaders::default())).await
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> std::result::Result<ValidationResult, Vec<ServerError>> {
        let valid = next.run(ctx).await?;
        let complexity = valid.complexity;
        let most = self.complexity;
        if complexity <= most {
            return Ok(valid);
        }
        let text = format!(
            "The operation may return up to {complexity} values (fields times the first or last of the lists around them). At \
             most {most} are allowed: lower first or last, or select fewer fields."
        );
        Err(vec![ServerError::new(text, None)])
    }
}
