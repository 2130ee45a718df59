//! Bytes from memory and regions of files, one after the other: one body.
//!
//! Invariant: a parcel's length is the sum of its parts', and none of them is empty.

use std::vec;

use bytes::Bytes;

use crate::region::FileRegion;

/// What a service puts into a response's extensions, for a server that sends it better than a body could be read: memory
/// with one write, files by the kernel. The response's body is the same bytes ([`ParcelBody`](crate::ParcelBody)), for
/// any other server.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    parts: Vec<Part>,
    len: u64,
}

/// A part of a [`Parcel`].
#[derive(Clone, Debug)]
pub enum Part {
    /// From memory.
    Bytes(Bytes),
    /// From a file.
    File(FileRegion),
}

impl Parcel {
    /// The parts in their order; empty ones are left out.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts: Vec<Part> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let len = parts
            .iter()
            .fold(0, |len: u64, part| len.saturating_add(part.len()));
        Self { parts, len }
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `len` bytes that start at `offset`, or what there is of them, as for a range. A region that is cut keeps its
    /// guard, which then counts to the end of what is left of the region.
    pub fn slice(self, offset: u64, len: u64) -> Self {
        let (mut skip, mut want) = (offset, len);
        Self::new(self.parts.into_iter().map(|part| {
            let offset = skip.min(part.len());
            let len = want.min(part.len() - offset);
            skip -= offset;
            want -= len;
            part.slice(offset, len)
        }))
    }
}

impl From<FileRegion> for Parcel {
    fn from(region: FileRegion) -> Self {
        Self::new([Part::File(region)])
    }
}

/// The parts, none of them empty.
impl IntoIterator for Parcel {
    type Item = Part;
    type IntoIter = vec::IntoIter<Part>;

    fn into_iter(self) -> vec::IntoIter<Part> {
        self.parts.into_iter()
    }
}

impl Part {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(region) => region.len(),
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A slice that lies within the part.
    fn slice(self, offset: u64, len: u64) -> Self {
        match self {
            // What is in memory has a length that fits.
            Self::Bytes(bytes) => Self::Bytes(bytes.slice(offset as usize..(offset + len) as usize)),
            Self::File(region) => Self::File(region.slice(offset, len)),
        }
    }
}

impl From<Bytes> for Part {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<FileRegion> for Part {
    fn from(region: FileRegion) -> Self {
        Self::File(region)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;
    use crate::body::ParcelBody;
    use crate::testing::{Gate, file_of};

    fn parcel() -> Parcel {
        let file = file_of(b"0123456789");
        Parcel::new([
            Bytes::from_static(b"<<").into(),
            FileRegion::new(Arc::clone(&file), 2, 3).into(),
            Bytes::new().into(),
            FileRegion::new(Arc::clone(&file), 5, 0).into(),
            Bytes::from_static(b"|").into(),
            FileRegion::new(file, 5, 4).into(),
            Bytes::from_static(b">>").into(),
        ])
    }

    #[tokio::test]
    async fn every_slice_over_every_border_is_that_slice_of_the_whole() {
        let whole = ParcelBody::from(parcel()).collect().await.unwrap().to_bytes();
        assert_eq!(whole, "<<234|5678>>");
        for from in 0..=whole.len() + 1 {
            for len in 0..=whole.len() + 1 {
                let expected = &whole[from.min(whole.len())..(from + len).min(whole.len())];
                let slice = parcel().slice(from as u64, len as u64);
                assert_eq!(slice.len(), expected.len() as u64);
                assert_eq!(slice.is_empty(), expected.is_empty());
                assert!(slice.clone().into_iter().all(|part| !part.is_empty()));
                let bytes = ParcelBody::from(slice).collect().await.unwrap().to_bytes();
                assert_eq!(bytes, expected, "{len} from {from}");
            }
        }
        assert_eq!(parcel().slice(1, u64::MAX).len(), 11);
    }

    #[tokio::test]
    async fn a_region_that_is_cut_keeps_its_guard() {
        let gate = Arc::new(Gate::new(u64::MAX));
        let guarded = FileRegion::new(file_of(b"0123456789"), 0, 10).guarded_by(gate.clone());
        let parcel = Parcel::new([Bytes::from_static(b"ab").into(), guarded.into()]);
        let body = ParcelBody::from(parcel.slice(1, 5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "b0123");
        assert!(gate.asked().iter().all(|&left| left == 4), "{:?}", gate.asked());
        assert_eq!(gate.sent(), 4);
    }
}
