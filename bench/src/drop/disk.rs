//! Where what is uploaded lies: a directory of the run, or a file system of its own in a file.
//!
//! A file system that is mounted `sync,dirsync` makes anybody's program durable: each write and each new name is on the
//! disk before the call returns. That is more than a program needs which asks once per file (fsync), so it is the best
//! that can be done for others, not the best that they could do.
//!
//! Invariant: no mount and no image outlives the run. They go with their [`Image`]; and since the mounts are this process's
//! own (a mount namespace), the kernel ends them even when this program is killed.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate, statvfs, syncfs};
use sha2::{Digest, Sha256};
use truehop_bench::message;

/// Says that the mounts are our own already.
pub const OWN_MOUNTS: &str = "--own-mounts";

/// How a file system is mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// As usual: what is to be on the disk must be asked for.
    Asked,
    /// Every write waits for the disk.
    Always,
}

/// A file system in a file, mounted.
pub struct Image {
    image: PathBuf,
    mount: PathBuf,
}

/// Begins this program anew with a mount namespace of its own. Returns when that is not possible; then nothing is
/// mounted either.
pub fn own_mounts(arguments: &[OsString]) {
    let (true, Ok(program)) = (rustix::process::geteuid().is_root(), env::current_exe()) else {
        return;
    };
    // The call alone says whether the kernel lets us.
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "--"]);
    let allowed = silent(unshare.arg("true"));
    if allowed {
        let mut again = Command::new("unshare");
        again.args(["--mount", "--propagation", "private", "--"]);
        let _ = again.arg(program).arg(OWN_MOUNTS).args(arguments).exec();
    }
}

impl Image {
    /// Makes an ext4 of so many bytes and mounts it beside its image.
    pub fn mount(directory: &Path, name: &str, bytes: u64, durability: Durability) -> Result<Self, String> {
        let image = Self {
            image: directory.join(format!("{name}.ext4")),
            mount: directory.join(name),
        };
        let failed = |error: std::io::Error| format!("{}: {error}", image.image.display());
        let file = File::create(&image.image).map_err(failed)?;
        // Its blocks are there, so that none must be found while it is measured.
        fallocate(&file, FallocateFlags::empty(), 0, bytes).map_err(|error| failed(error.into()))?;
        fs::create_dir(&image.mount).map_err(failed)?;
        // One inode for each 4 KiB, since the files are of that size, and nothing left to be done in the background.
        let options = "lazy_itable_init=0,lazy_journal_init=0";
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-i", "4096", "-E", options])
            .arg(&image.image))?;
        let options = match durability {
            Durability::Asked => "loop",
            Durability::Always => "loop,sync,dirsync",
        };
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", options])
            .arg(&image.image)
            .arg(&image.mount))?;
        Ok(image)
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Lazily when somebody still has a file open: the kernel ends it with the last of them.
        let unmount = |how: &[&str]| silent(Command::new("umount").args(how).arg(&self.mount));
        let _ = unmount(&[]) || unmount(&["--lazy"]);
        let _ = fs::remove_dir(&self.mount);
        let _ = fs::remove_file(&self.image);
    }
}

/// Whether images can be mounted, and if not, why.
pub fn can_mount(directory: &Path, mounts_are_own: bool) -> Result<(), String> {
    if !mounts_are_own {
        return Err("only root may mount, in a mount namespace of its own (unshare)".to_owned());
    }
    Image::mount(directory, "trial", 16 << 20, Durability::Always).map(drop)
}

/// A new directory for what is uploaded, open to whatever user a program chooses to be.
pub fn fresh(parent: &Path) -> Result<PathBuf, String> {
    let data = parent.join("data");
    let failed = |error| format!("{}: {error}", data.display());
    if data.exists() {
        fs::remove_dir_all(&data).map_err(failed)?;
    }
    fs::create_dir(&data).map_err(failed)?;
    Ok(data)
}

/// Waits until everything on the file system of this path is on the disk.
pub fn settle(path: &Path) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    syncfs(&file).map_err(|error| failed(error.into()))
}

/// Bytes that are free for us.
pub fn free(path: &Path) -> Result<u64, String> {
    let found = statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(found.f_bavail * found.f_frsize)
}

/// Fills and frees as much of the page cache as a large file takes. A virtual machine may have given free memory away, and
/// who writes next would pay for getting it back.
pub fn warm(directory: &Path, bytes: u64) -> Result<(), String> {
    let path = directory.join("warm");
    let fill = || {
        message::write_body(File::create(&path)?, bytes + bytes / 4)?;
        fs::remove_file(&path)
    };
    fill().map_err(|error| format!("{}: {error}", path.display()))
}

/// Sees to it that a file and its name are on the disk.
pub fn sync(file: &Path) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", file.display());
    File::open(file)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    let folder = file.parent().unwrap_or(file);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

/// The SHA-256 of a file, read as `sha256sum` does.
pub fn hash(file: &Path) -> Result<[u8; 32], String> {
    let failed = |error| format!("{}: {error}", file.display());
    let mut file = File::open(file).map_err(failed)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 128 * 1024]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hash.finalize().into()),
            got => hash.update(&buffer[..got]),
        }
    }
}

/// The files below a directory, with how many bytes each has.
pub fn files_below(directory: &Path) -> Result<Vec<(PathBuf, u64)>, String> {
    let failed = |error| format!("{}: {error}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // It may have gone while its neighbours were read.
        if let Ok(found) = entry.metadata() {
            match found.is_dir() {
                true => files.extend(files_below(&entry.path()).unwrap_or_default()),
                false => files.push((entry.path(), found.len())),
            }
        }
    }
    Ok(files)
}

/// The kind of file system that a path is on, as the kernel's list of mounts has it.
pub fn kind(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let fitting = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        path.starts_with(at).then_some((at.len(), kind))
    });
    let nearest = fitting.max_by_key(|&(length, _)| length);
    nearest.map_or("unknown", |(_, kind)| kind).to_owned()
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

fn silent(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    command
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let data = fresh(directory.path()).unwrap();
        fs::create_dir(data.join("files")).unwrap();
        fs::write(data.join("files/a"), [0; 300]).unwrap();
        fs::write(data.join("b"), [0; 4]).unwrap();
        let mut files = files_below(&data).unwrap();
        files.sort();
        assert_eq!(files, [(data.join("b"), 4), (data.join("files/a"), 300)]);
        sync(&files[1].0).unwrap();
        assert_eq!(files_below(&fresh(directory.path()).unwrap()).unwrap(), []);
    }

    #[test]
    fn a_file_is_hashed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("abc");
        fs::write(&file, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash(&file).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
        warm(directory.path(), 5_000).unwrap();
        assert_eq!(files_below(directory.path()).unwrap().len(), 1);
    }

    #[test]
    fn every_path_is_on_some_file_system() {
        assert_eq!(kind(Path::new("/proc/self")), "proc");
    }
}
