//! A request body that is withheld if the caller may not send it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The caller may not send the request.
#[derive(Debug, thiserror::Error)]
#[error("the permission to send was withdrawn")]
pub struct Withheld;

/// A body whose permission is checked at the last moment. The connection reads the size of a body right before it writes the
/// headers, and for its bytes before it sends anything to the network; an error then closes the connection with nothing sent.
pub struct WithheldBody {
    bytes: Option<Bytes>,
    allowed: Box<dyn Fn() -> bool + Send + Sync>,
}

impl WithheldBody {
    /// A body of these bytes.
    pub fn new(bytes: Vec<u8>, allowed: impl Fn() -> bool + Send + Sync + 'static) -> WithheldBody {
        WithheldBody { bytes: Some(Bytes::from(bytes)), allowed: Box::new(allowed) }
    }
}

impl Body for WithheldBody {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        if self.bytes.is_some() && !(self.allowed)() {
            return Poll::Ready(Some(Err(Withheld)));
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        // The bytes of an empty body are never read. Without permission it claims to have one, which brings the error.
        let length = if length == 0 && self.bytes.is_some() && !(self.allowed)() { 1 } else { length };
        SizeHint::with_exact(length)
    }
}
