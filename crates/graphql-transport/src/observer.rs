//! Reports of the transport about operations, for metrics.

use std::time::Duration;

use async_graphql::parser::types::OperationType;

/// Type of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// A query.
    Query,
    /// A mutation.
    Mutation,
    /// A subscription.
    Subscription,
    /// The request was refused: it is invalid, or it selects no operation.
    Unknown,
}

impl OperationKind {
    /// Returns the type in lower case, such as `query`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
            Self::Unknown => "unknown",
        }
    }
}

impl From<OperationType> for OperationKind {
    fn from(kind: OperationType) -> Self {
        match kind {
            OperationType::Query => Self::Query,
            OperationType::Mutation => Self::Mutation,
            OperationType::Subscription => Self::Subscription,
        }
    }
}

/// Receives events about operations. It is called while requests are answered, so it must not block.
pub trait Observer: Send + Sync {
    /// An operation was answered or refused. A subscription counts once: with its first result, or at its end.
    ///
    /// `codes` are the values of `extensions.code` of its errors.
    fn operation(&self, kind: OperationKind, codes: &[&str]);

    /// A later result of a subscription has errors with these codes, or none.
    fn errors(&self, codes: &[&str]);

    /// The executor took this long for a query or mutation.
    fn duration(&self, kind: OperationKind, time: Duration);
}

/// An observer that ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn operation(&self, _kind: OperationKind, _codes: &[&str]) {}

    fn errors(&self, _codes: &[&str]) {}

    fn duration(&self, _kind: OperationKind, _time: Duration) {}
}
