//! Buffers for what is read from sockets, owned only while bytes are on their way.
//!
//! Invariant: a connection that waits for its next request holds none; a worker keeps a few for the next that needs
//! one.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// Room for almost every head, and for a body of 16 KiB beside it.
pub(crate) const SIZE: usize = 20 * 1024;
/// Room for a piece of a body of which much is to come: fewer calls for each byte.
pub(crate) const LARGE: usize = 256 * 1024;

/// Free buffers of each size that a worker keeps.
const KEPT: usize = 512;
const KEPT_LARGE: usize = 8;

/// The free buffers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
    free_large: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer of [`SIZE`] bytes.
    pub(crate) fn take(self: &Rc<Self>) -> Buffer {
        self.lend(&self.free, SIZE)
    }

    /// An empty buffer of [`LARGE`] bytes.
    pub(crate) fn take_large(self: &Rc<Self>) -> Buffer {
        self.lend(&self.free_large, LARGE)
    }

    fn lend(self: &Rc<Self>, free: &RefCell<Vec<Vec<u8>>>, size: usize) -> Buffer {
        let bytes = free.borrow_mut().pop().unwrap_or_else(|| vec![0; size]);
        Buffer {
            bytes,
            filled: 0..0,
            was_full: false,
            home: Rc::clone(self),
        }
    }
}

/// Bytes that were read and not yet used, with room for more behind them.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    filled: Range<usize>,
    /// Whether the last read took all the room that there was.
    was_full: bool,
    home: Rc<Buffers>,
}

impl Buffer {
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.filled.clone()]
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled.clone()]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The first `n` bytes were used.
    pub(crate) fn consume(&mut self, n: usize) {
        self.filled.start = (self.filled.start + n).min(self.filled.end);
        if self.filled.is_empty() {
            self.filled = 0..0;
        }
    }

    /// Room for more. Empty when the buffer is full to the brim.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.filled.end == self.bytes.len() && self.filled.start > 0 {
            self.bytes.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        &mut self.bytes[self.filled.end..]
    }

    /// `n` bytes were read into [`space`](Self::space).
    pub(crate) fn filled_by(&mut self, n: usize) {
        self.filled.end = (self.filled.end + n).min(self.bytes.len());
        self.was_full = self.filled.end == self.bytes.len();
    }

    /// Makes room beyond the usual size, up to `limit` bytes in all.
    pub(crate) fn grow(&mut self, limit: usize) {
        let size = (self.bytes.len() * 2).min(limit).max(self.bytes.len());
        self.bytes.resize(size, 0);
    }

    /// Takes a large buffer's room once the usual room is not enough: a body of which much comes at once.
    pub(crate) fn enlarge_if_full(&mut self) {
        if self.was_full && self.bytes.len() < LARGE {
            let mut large = self.home.take_large();
            large.append(self.filled());
            *self = large;
        }
    }

    /// Gives large room back, unless more stands in it than the usual room holds.
    pub(crate) fn become_usual(&mut self) {
        if self.bytes.len() > SIZE && self.filled.len() <= SIZE {
            let mut usual = self.home.take();
            usual.append(self.filled());
            *self = usual;
        }
    }

    /// Appends bytes, making room for them.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let missing = bytes.len().saturating_sub(self.space().len());
        self.bytes.resize(self.bytes.len() + missing, 0);
        self.bytes[self.filled.end..][..bytes.len()].copy_from_slice(bytes);
        self.filled.end += bytes.len();
    }

    /// Takes off what follows the first `n` bytes, into a buffer of its own when there is something.
    pub(crate) fn split_off(&mut self, n: usize) -> Option<Buffer> {
        let (first, rest) = self.filled().split_at(n);
        if rest.is_empty() {
            return None;
        }
        let mut other = self.home.take();
        // The smaller part is copied.
        if rest.len() <= first.len() {
            other.append(rest);
            self.filled.end = self.filled.start + n;
        } else {
            other.append(first);
            std::mem::swap(self, &mut other);
            other.consume(n);
        }
        Some(other)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let (free, kept) = match self.bytes.len() {
            SIZE => (&self.home.free, KEPT),
            LARGE => (&self.home.free_large, KEPT_LARGE),
            _ => return,
        };
        let mut free = free.borrow_mut();
        if free.len() < kept {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_in_order_whatever_is_used_and_added() {
        let buffers = Rc::new(Buffers::default());
        let mut buffer = buffers.take();
        let (mut written, mut read) = (0_u8, 0_u8);
        for round in 1..2000 {
            let space = buffer.space();
            let n = space.len().min(round * 7 % 999);
            for byte in &mut space[..n] {
                *byte = written;
                written = written.wrapping_add(1);
            }
            buffer.filled_by(n);
            let used = buffer.filled().len().min(round * 5 % 777);
            for byte in &buffer.filled()[..used] {
                assert_eq!(*byte, read);
                read = read.wrapping_add(1);
            }
            buffer.consume(used);
        }
    }

    #[test]
    fn a_buffer_goes_home_and_comes_back_empty() {
        let buffers = Rc::new(Buffers::default());
        let mut buffer = buffers.take();
        buffer.append(b"GET / HTTP/1.1\r\n\r\nGET");
        let rest = buffer.split_off(18).unwrap();
        assert_eq!(rest.filled(), b"GET");
        assert_eq!(buffer.filled(), b"GET / HTTP/1.1\r\n\r\n");
        drop(rest);
        let mut buffer = buffers.take();
        buffer.append(b"heada long body");
        let mut rest = buffer.split_off(4).unwrap();
        assert_eq!(
            (buffer.filled(), rest.filled()),
            (&b"head"[..], &b"a long body"[..])
        );
        assert!(rest.split_off(11).is_none());
        drop((buffer, rest));
        assert_eq!(buffers.free.borrow().len(), 2);
        assert!(buffers.take().is_empty());
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let buffers = Rc::new(Buffers::default());
        let mut buffer = buffers.take();
        buffer.append(&[1; SIZE + 1]);
        assert_eq!(buffer.filled().len(), SIZE + 1);
        drop(buffer);
        assert!(buffers.free.borrow().is_empty());
    }
}
