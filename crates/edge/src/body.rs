//! The one type of body that handlers see.
//!
//! Invariant: where the bytes come from (memory, a file, a socket) is decided once, when the body is made; handlers
//! pass bodies on and never look inside.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use truehop_delivery::{FileRegion, Parcel, ParcelBody};

/// Any error that ends a body early.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a request or a response.
pub struct Body(Kind);

/// Where the bytes come from.
pub(crate) enum Kind {
    Memory(Option<Bytes>),
    Parcel(ParcelBody),
    Other(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// A body without a byte.
    pub fn empty() -> Self {
        Self(Kind::Memory(None))
    }

    /// A body from anywhere else, such as a service's response.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt;

        Self(Kind::Other(Box::pin(body.map_err(Into::into))))
    }

    pub(crate) fn into_kind(self) -> Kind {
        self.0
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Memory((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<FileRegion> for Body {
    fn from(region: FileRegion) -> Self {
        Self(Kind::Parcel(Parcel::from(region).into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Memory(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Parcel(parcel) => Pin::new(parcel).poll_frame(cx).map_err(Into::into),
            Kind::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Memory(bytes) => bytes.is_none(),
            Kind::Parcel(parcel) => parcel.is_end_stream(),
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Memory(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Parcel(parcel) => parcel.size_hint(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body")
            .field(&http_body::Body::size_hint(self))
            .finish()
    }
}
