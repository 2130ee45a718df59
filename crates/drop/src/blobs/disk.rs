//! The blobs as files: `incoming/` while they arrive, `files/X/Y/` once they are complete, where X and Y are the first two
//! characters of the name.
//!
//! 1. Written to `incoming/` by a [`Sink`], hashed on the way.
//! 2. fsync: the bytes are durable.
//! 3. Renamed into its folder. Folders are made when they are first needed, and their parents are synchronised then.
//! 4. fsync of the folder: the name is durable.
//!
//! `incoming/` needs no fsync of its own: should a crash bring a name back there, or lose one, the start clears the
//! directory of all that no row waits for.
//!
//! Invariant: what stands in a folder is complete and durable, and nothing is ever written there. What blocks runs on the
//! runtime's blocking threads, one hop for each call; outside of a runtime, at once.

mod folders;
mod sink;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use truehop_delivery::{FileRegion, Guard, Part};

use super::{Answer, Blobs, Digests, Incoming, Stored};
use crate::failpoint::reached;
use crate::id::BlobId;
use folders::Folders;
use sink::Sink;

/// The two directories.
#[derive(Clone, Debug)]
pub(crate) struct DiskBlobs(Arc<Places>);

#[derive(Debug)]
struct Places {
    incoming: PathBuf,
    folders: Folders,
}

impl DiskBlobs {
    pub(crate) fn new(data: &Path) -> Self {
        Self(Arc::new(Places {
            incoming: data.join("incoming"),
            folders: Folders::new(data.join("files")),
        }))
    }

    /// The directories that must be there.
    pub(crate) fn directories(&self) -> [PathBuf; 2] {
        [self.0.incoming.clone(), self.0.folders.files().to_owned()]
    }

    /// Where the file is that says that `files/` is the one that was taken into use.
    pub(crate) fn mark(&self) -> PathBuf {
        self.0.folders.mark()
    }

    /// Makes that file, empty and durable. Blocks.
    pub(crate) fn put_mark(&self) -> io::Result<()> {
        match new_file(&self.mark()) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        sync(self.0.folders.files())
    }

    /// Moves what an older version has left directly in `files/` into the folders. How many. Blocks; may be begun again at
    /// any point.
    pub(crate) fn bring_up(&self) -> io::Result<u64> {
        self.0.folders.bring_up()
    }

    /// Where a complete blob is.
    pub(crate) fn path(&self, blob: &BlobId) -> PathBuf {
        self.0.folders.path(blob)
    }

    /// Puts a copy of `bytes` under the name, by reflink where the file system has that. Blocks.
    pub(crate) fn copy(&self, blob: &BlobId, bytes: &mut File) -> io::Result<()> {
        let (places, incoming) = (&self.0, self.0.incoming.join(blob.as_str()));
        let mut file = new_file(&incoming)?;
        io::copy(bytes, &mut file)?;
        file.sync_all()?;
        let path = places.folders.made(blob)?;
        fs::rename(incoming, &path)?;
        places.folders.sync_of(&path)
    }

    fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Places) -> io::Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let places = Arc::clone(&self.0);
        blocking(move || work(&places))
    }
}

impl Places {
    /// A new file for a blob that arrives.
    fn create(&self, blob: &BlobId) -> io::Result<Sink> {
        new_file(&self.incoming.join(blob.as_str())).map(Sink::new)
    }

    fn publish(&self, blob: &BlobId, sink: Sink) -> io::Result<Digests> {
        let (file, digests) = sink.finish()?;
        reached("written");
        // The digests are of what was given. Whatever went amiss between there and the disk must not get a name.
        if file.metadata()?.len() != digests.size {
            return Err(io::Error::other(
                "the file has another size than what was written to it",
            ));
        }
        file.sync_all()?;
        reached("synced");
        let path = self.folders.made(blob)?;
        fs::rename(self.incoming.join(blob.as_str()), &path)?;
        reached("renamed");
        self.folders.sync_of(&path)?;
        Ok(digests)
    }
}

impl Blobs for DiskBlobs {
    fn create(&self, blob: &BlobId) -> Answer<'_, Box<dyn Incoming>> {
        let (places, blob) = (Arc::clone(&self.0), blob.clone());
        self.on(move |on| {
            let sink = Some(on.create(&blob)?);
            Ok(Box::new(Draft { places, blob, sink }) as Box<dyn Incoming>)
        })
    }

    fn store(&self, blob: &BlobId, pieces: Vec<Bytes>) -> Answer<'_, Digests> {
        let blob = blob.clone();
        self.on(move |places| {
            let mut sink = places.create(&blob)?;
            sink.write(&pieces)?;
            places.publish(&blob, sink)
        })
    }

    fn open(&self, blob: &BlobId) -> Answer<'_, Option<Arc<dyn Stored>>> {
        let path = self.path(blob);
        self.on(move |_| match found(File::open(path))? {
            Some(file) => Ok(Some(Arc::new(DiskStored(Arc::new(file))) as Arc<dyn Stored>)),
            None => Ok(None),
        })
    }

    fn size(&self, blob: &BlobId) -> Answer<'_, Option<u64>> {
        let path = self.path(blob);
        self.on(move |_| {
            let found = found(fs::symlink_metadata(path))?;
            Ok(found.filter(fs::Metadata::is_file).map(|found| found.len()))
        })
    }

    fn unlink(&self, blob: &BlobId) -> Answer<'_, ()> {
        let path = self.path(blob);
        self.on(move |places| match remove(&path)? {
            true => places.folders.sync_of(&path),
            false => Ok(()),
        })
    }

    fn discard(&self, blob: &BlobId) -> Answer<'_, ()> {
        let blob = blob.clone();
        self.on(move |places| {
            remove(&places.incoming.join(blob.as_str()))?;
            let path = places.folders.path(&blob);
            match remove(&path)? {
                true => places.folders.sync_of(&path),
                false => Ok(()),
            }
        })
    }

    fn discard_unfinished(&self, blob: &BlobId) -> Answer<'_, ()> {
        let blob = blob.clone();
        self.on(move |places| remove(&places.incoming.join(blob.as_str())).map(|_| ()))
    }

    fn list(&self, complete: bool, folder: u32) -> Answer<'_, Option<Vec<BlobId>>> {
        self.on(move |places| match (complete, folder) {
            (true, folder) => places.folders.list(folder),
            (false, 0) => names(&places.incoming).map(Some),
            (false, _) => Ok(None),
        })
    }
}

/// A blob on its way.
#[derive(Debug)]
struct Draft {
    places: Arc<Places>,
    blob: BlobId,
    /// `None` while it is being written to, and for good when that failed: what the file has then is not known.
    sink: Option<Sink>,
}

impl Incoming for Draft {
    fn write(&mut self, pieces: Vec<Bytes>) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut sink = self.sink.take().ok_or_else(spoilt)?;
            let written = blocking(move || {
                sink.write(&pieces)?;
                Ok(sink)
            });
            self.sink = Some(written.await?);
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> Answer<'static, Digests> {
        let Self { places, blob, sink } = *self;
        blocking(move || places.publish(&blob, sink.ok_or_else(spoilt)?))
    }
}

fn spoilt() -> io::Error {
    io::Error::other("an earlier write to this blob failed")
}

/// An open file.
#[derive(Debug)]
struct DiskStored(Arc<File>);

impl Stored for DiskStored {
    fn part(&self, range: Range<u64>, guard: Option<Arc<dyn Guard>>) -> Part {
        let region = FileRegion::new(
            Arc::clone(&self.0),
            range.start,
            range.end.saturating_sub(range.start),
        );
        Part::File(match guard {
            Some(guard) => region.guarded_by(guard),
            None => region,
        })
    }
}

/// Does what blocks where that is allowed.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Answer<'static, T> {
    match Handle::try_current() {
        Ok(runtime) => {
            let done = runtime.spawn_blocking(work);
            // A panic of that thread is an error like others. When the runtime goes down, so does who waits.
            Box::pin(async move { done.await.unwrap_or_else(|error| Err(io::Error::other(error))) })
        }
        Err(_) => Box::pin(async move { work() }),
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// The blobs in a directory, which need not be there. Names that are no blobs' are somebody else's, and not ours to delete.
fn names(directory: &Path) -> io::Result<Vec<BlobId>> {
    let Some(entries) = found(fs::read_dir(directory))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.file_name().to_str().and_then(BlobId::parse) {
            Some(blob) => names.push(blob),
            None => tracing::warn!(path = %entry.path().display(), "not a file of the drop; left alone"),
        }
    }
    Ok(names)
}

/// Whether there was one.
fn remove(path: &Path) -> io::Result<bool> {
    Ok(found(fs::remove_file(path))?.is_some())
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::open::on_a_thread;

    fn blobs(data: &Path) -> DiskBlobs {
        let blobs = DiskBlobs::new(data);
        for directory in blobs.directories() {
            fs::create_dir(directory).unwrap();
        }
        blobs
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_blob_is_its_owners_alone_and_lies_two_folders_deep() {
        let data = tempfile::tempdir().unwrap();
        let blobs = blobs(data.path());
        let blob = BlobId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
        // Outside of a runtime, at once.
        on_a_thread(|| blobs.store(&blob, vec![Bytes::from_static(b"x")])).unwrap();
        let path = data.path().join("files/a/b/abcdefghijklmnopqrstuvwxyz");
        assert_eq!(blobs.path(&blob), path);
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"x".to_vec()));
        assert_eq!(mode(&data.path().join("files/a")), 0o700);
        assert_eq!(mode(&data.path().join("files/a/b")), 0o700);
        assert!(
            fs::read_dir(data.path().join("incoming"))
                .unwrap()
                .next()
                .is_none()
        );
    }

    #[test]
    fn a_flat_layout_is_brought_up_and_strangers_are_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let blobs = blobs(data.path());
        let files = data.path().join("files");
        let mut names: Vec<BlobId> = (0..100).map(|_| BlobId::random().unwrap()).collect();
        let inodes: Vec<u64> = names
            .iter()
            .map(|name| {
                let path = files.join(name.as_str());
                fs::write(&path, name.as_str()).unwrap();
                fs::metadata(path).unwrap().ino()
            })
            .collect();
        fs::write(files.join("holiday.jpg"), "not ours").unwrap();
        assert_eq!(blobs.bring_up().unwrap(), 100);
        assert_eq!(blobs.bring_up().unwrap(), 0);
        for (name, inode) in names.iter().zip(inodes) {
            assert_eq!(
                fs::metadata(blobs.path(name)).unwrap().ino(),
                inode,
                "moved, not copied"
            );
        }
        let mut listed = Vec::new();
        for folder in 0.. {
            let Some(more) = on_a_thread(|| blobs.list(true, folder)).unwrap() else {
                assert_eq!(folder, 1024);
                break;
            };
            listed.extend(more);
        }
        names.sort();
        listed.sort();
        assert_eq!(listed, names);
        assert!(files.join("holiday.jpg").exists());
    }

    #[test]
    fn what_is_unfinished_goes_without_what_is_complete() {
        let data = tempfile::tempdir().unwrap();
        let blobs = blobs(data.path());
        let blob = BlobId::random().unwrap();
        on_a_thread(|| blobs.store(&blob, vec![Bytes::from_static(b"x")])).unwrap();
        // As a crash may leave it.
        fs::write(data.path().join("incoming").join(blob.as_str()), "x").unwrap();
        on_a_thread(|| blobs.discard_unfinished(&blob)).unwrap();
        on_a_thread(|| blobs.discard_unfinished(&blob)).unwrap();
        assert!(!data.path().join("incoming").join(blob.as_str()).exists());
        assert_eq!(on_a_thread(|| blobs.size(&blob)).unwrap(), Some(1));
    }
}
