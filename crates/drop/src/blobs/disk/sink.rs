//! Writes one file, and digests what is written.
//!
//! A block is gathered first. When it is full the file goes on past the page cache (`O_DIRECT`), block by block, from
//! memory that is aligned as that asks; what is left at the end goes the usual way. On a filesystem that cannot, all of
//! it does.
//!
//! Invariant: the digests are of exactly the bytes that the file has.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::blobs::Digests;

/// What is written at once past the page cache: large enough that the calls cost nothing beside the bytes.
const BLOCK: usize = 1024 * 1024;
/// What is digested, and then copied while it is in the processor's cache.
const PASS: usize = 32 * 1024;
/// As large as any disk's own blocks.
const ALIGNMENT: usize = 4096;

/// A file that is being written.
pub(super) struct Sink {
    file: File,
    way: Way,
    size: u64,
    sha256: Sha256,
    crc32: crc32fast::Hasher,
}

/// How bytes get into the file.
enum Way {
    /// So many bytes stand in the block, none in the file yet.
    Gathering(Block),
    /// All but what stands in the block is in the file, past the page cache.
    Direct(Block),
    Usual,
}

impl Sink {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            way: Way::Gathering(Block::default()),
            size: 0,
            sha256: Sha256::new(),
            crc32: crc32fast::Hasher::new(),
        }
    }

    pub(super) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        if matches!(self.way, Way::Usual) {
            pieces.iter().for_each(|piece| self.digest(piece));
            return write_all(
                &self.file,
                pieces.iter().map(|piece| IoSlice::new(piece)).collect(),
            );
        }
        for bytes in pieces.iter().flat_map(|piece| piece.chunks(PASS)) {
            self.digest(bytes);
            self.put(bytes)?;
        }
        Ok(())
    }

    fn digest(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc32.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.way {
                Way::Gathering(block) | Way::Direct(block) => {
                    bytes = block.fill(bytes);
                    if block.is_full() {
                        self.write_block()?;
                    }
                }
                Way::Usual => return self.file.write_all(bytes),
            }
        }
        Ok(())
    }

    /// Writes the full block, by the way that there is.
    fn write_block(&mut self) -> io::Result<()> {
        let (mut block, mut is_direct) = match std::mem::replace(&mut self.way, Way::Usual) {
            Way::Gathering(block) => (block, set_direct(&self.file, true)),
            Way::Direct(block) => (block, true),
            Way::Usual => return Ok(()),
        };
        write_block(&self.file, block.bytes(), || {
            std::mem::take(&mut is_direct) && set_direct(&self.file, false)
        })?;
        if is_direct {
            block.clear();
            self.way = Way::Direct(block);
        }
        Ok(())
    }

    /// Writes what is left. What was written is not durable yet.
    pub(super) fn finish(mut self) -> io::Result<(File, Digests)> {
        match &self.way {
            Way::Gathering(block) => self.file.write_all(block.bytes())?,
            Way::Direct(block) => {
                // The end is no whole block.
                set_direct(&self.file, false);
                self.file.write_all(block.bytes())?;
            }
            Way::Usual => {}
        }
        let digests = Digests {
            size: self.size,
            sha256: self.sha256.finalize().into(),
            crc32: self.crc32.finalize(),
        };
        Ok((self.file, digests))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Sends what is written past the page cache, or through it again. Whether that is so now.
fn set_direct(file: &File, direct: bool) -> bool {
    let set = rustix::fs::fcntl_getfl(file).and_then(|mut flags| {
        flags.set(OFlags::DIRECT, direct);
        rustix::fs::fcntl_setfl(file, flags)
    });
    set.is_ok()
}

/// Writes all of `bytes`. When they are refused for how they lie in memory or in the file, for this disk wants more than
/// others do, or has taken a part and left the rest misaligned, what is left is tried again if `eases` has changed something.
fn write_block(mut file: impl Write, bytes: &[u8], mut eases: impl FnMut() -> bool) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) && eases() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_all(mut file: &File, mut slices: Vec<IoSlice<'_>>) -> io::Result<()> {
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Memory for a block, aligned. Nothing is taken before the first byte, and the system gives pages as they are touched.
#[derive(Default)]
struct Block {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Block {
    /// Takes as much of `bytes` as there is room for; gives the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.memory.is_empty() {
            self.memory = vec![0; BLOCK + ALIGNMENT];
            self.start = self.memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        }
        let (taken, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
        self.memory[self.start + self.filled..][..taken.len()].copy_from_slice(taken);
        self.filled += taken.len();
        rest
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.filled]
    }

    fn is_full(&self) -> bool {
        self.filled == BLOCK
    }

    fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A disk that takes a part of what it is given, and then nothing until it is eased.
    struct Choosy {
        has: Vec<u8>,
        is_eased: std::rc::Rc<std::cell::Cell<bool>>,
    }

    impl Write for Choosy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.has.is_empty() && !self.is_eased.get() {
                return Err(Errno::INVAL.into());
            }
            let taken = bytes.len().min(3);
            self.has.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_disk_has_taken_is_not_given_again() {
        let is_eased = std::rc::Rc::new(std::cell::Cell::new(false));
        let mut disk = Choosy {
            has: Vec::new(),
            is_eased: is_eased.clone(),
        };
        write_block(&mut disk, b"0123456789", || !is_eased.replace(true)).unwrap();
        assert_eq!(disk.has, b"0123456789");
        is_eased.set(false);
        let refused = write_block(&mut disk, b"0123456789", || false).unwrap_err();
        assert_eq!(Errno::from_io_error(&refused), Some(Errno::INVAL));
    }

    /// Writes `content` in pieces of `piece` bytes to a file in `directory`, and reads it back.
    fn written(directory: &Path, content: &[u8], piece: usize) -> (Vec<u8>, Digests, bool) {
        let path = directory.join("file");
        let mut sink = Sink::new(File::create(&path).unwrap());
        let content = Bytes::copy_from_slice(content);
        for at in (0..content.len()).step_by(piece) {
            let end = content.len().min(at + piece);
            sink.write(&[content.slice(at..at), content.slice(at..end)])
                .unwrap();
        }
        let was_direct = matches!(sink.way, Way::Direct(_));
        let (_, digests) = sink.finish().unwrap();
        (std::fs::read(&path).unwrap(), digests, was_direct)
    }

    #[test]
    fn every_size_and_every_way_gives_the_bytes_and_their_digests() {
        let here = tempfile::tempdir().unwrap();
        // Always there on Linux, and without a way past its own memory on most kernels.
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let content: Vec<u8> = (0..BLOCK * 2 + ALIGNMENT + 1)
            .map(|at| (at / 251 + at) as u8)
            .collect();
        for directory in [here.path(), memory.path()] {
            for size in [
                0,
                1,
                ALIGNMENT,
                BLOCK - 1,
                BLOCK,
                BLOCK + 1,
                BLOCK * 2,
                content.len(),
            ] {
                for piece in [65_536, 70_001, BLOCK * 2] {
                    let (bytes, digests, _) = written(directory, &content[..size], piece);
                    assert!(bytes == content[..size], "{size} in pieces of {piece}");
                    assert_eq!(digests.size, size as u64);
                    assert_eq!(digests.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
                    assert_eq!(digests.crc32, crc32fast::hash(&bytes));
                }
            }
        }
        assert_eq!(written(here.path(), b"123456789", 4).1.crc32, 0xcbf4_3926);
    }
}
