//! A data directory, looked at while it is used and while it is not.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::FileDrop;
use crate::catalog::{Catalog, Complete, DropRecord, NewDrop, NewFile, Which};
use crate::config::OwnerRule;
use crate::id::DropId;
use crate::lifecycle::Ending;
use crate::open::Opened;
use crate::secret::SecretHash;

/// A directory in use.
struct Site {
    data: TempDir,
    opened: Opened,
}

struct Uploaded {
    id: DropId,
    blob: BlobId,
}

impl Site {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let opened = open(data.path());
        Self { data, opened }
    }

    fn data(&self) -> &Path {
        self.data.path()
    }

    fn announce(&self) -> Uploaded {
        let (id, blob) = (DropId::random().unwrap(), BlobId::random().unwrap());
        self.announce_as(&id, &blob);
        Uploaded { id, blob }
    }

    fn announce_as(&self, id: &DropId, blob: &BlobId) {
        let drop = NewDrop {
            id: id.clone(),
            token_hash: SecretHash([1; 32]),
            rule: OwnerRule::Token,
            salt: [2; 32],
            uploader: None,
        };
        let (number, name) = (1, "a name".to_owned());
        let file = NewFile {
            number,
            name,
            blob: blob.clone(),
        };
        on_a_thread(|| self.opened.catalog.announce(drop, file)).unwrap();
    }

    fn upload(&self, content: &'static str) -> Uploaded {
        let uploaded = self.announce();
        self.complete(&uploaded, content);
        uploaded
    }

    fn complete(&self, Uploaded { id, blob }: &Uploaded, content: &'static str) {
        let pieces = vec![Bytes::from_static(content.as_bytes())];
        let digests = on_a_thread(|| self.opened.blobs.store(blob, pieces)).unwrap();
        let complete = vec![Complete {
            number: 1,
            size: digests.size,
            sha256: digests.sha256,
            crc32: digests.crc32,
        }];
        let day = Duration::from_secs(86_400);
        on_a_thread(|| {
            self.opened
                .catalog
                .ready(id, complete, day, OwnerRule::Token, None)
        })
        .unwrap();
    }

    /// The owner takes it back, and the bytes go.
    fn withdraw(&self, Uploaded { id, blob }: &Uploaded) {
        on_a_thread(|| self.opened.catalog.end(id, Which::All, Ending::Withdrawn)).unwrap();
        on_a_thread(|| self.opened.blobs.unlink(blob)).unwrap();
        on_a_thread(|| self.opened.catalog.unlinked(blob)).unwrap();
    }

    fn path(&self, uploaded: &Uploaded) -> PathBuf {
        self.opened.blobs.path(&uploaded.blob)
    }

    fn close(self) -> TempDir {
        drop(self.opened);
        self.data
    }
}

fn open(data: &Path) -> Opened {
    let config = DropConfig::default();
    open::open(data, Terms::of(&config), config.owner, &Clock::system()).unwrap()
}

fn find(opened: &Opened, id: &DropId) -> Option<DropRecord> {
    on_a_thread(|| opened.catalog.find(id)).unwrap()
}

/// A blob of nobody, at `directory`.
fn stray(directory: &Path) -> PathBuf {
    let blob = BlobId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
    let path = match directory.ends_with("files") {
        true => directory.join("a/b"),
        false => directory.to_owned(),
    };
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(blob.as_str()), "x").unwrap();
    path.join(blob.as_str())
}

fn nobody(_: Progress) {}

/// Everything below a directory, with its size.
fn tree(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(tree(&entry.path())),
            false => all.push((entry.path(), entry.metadata().unwrap().len())),
        }
    }
    all.sort();
    all
}

#[test]
fn what_is_no_drop_is_called_so_and_none_is_made() {
    let data = tempfile::tempdir().unwrap();
    let nowhere = data.path().join("nowhere");
    let to = data.path().join("to");
    for data in [data.path(), &nowhere] {
        let config = DropConfig::default();
        for error in [
            stat(data).unwrap_err(),
            verify(data, &mut nobody).unwrap_err(),
            sweep(&config, data).unwrap_err(),
            backup(data, &to, &mut nobody).unwrap_err(),
        ] {
            let expected = format!("no drop keeps its files in {}", data.display());
            assert_eq!(error.to_string(), expected);
        }
    }
    assert!(tree(data.path()).is_empty() && !nowhere.exists() && !to.exists());
    // Nor is anything else taken for one.
    fs::write(
        data.path().join("catalog.sqlite"),
        "no database at all, but long enough to be looked at",
    )
    .unwrap();
    let error = stat(data.path()).unwrap_err();
    assert!(
        matches!(&error, UpkeepError::Catalog { path, .. } if path.ends_with("catalog.sqlite")),
        "{error}"
    );
}

#[test]
fn counting_changes_nothing() {
    let site = Site::new();
    site.upload("four");
    site.upload("seven b");
    site.withdraw(&site.upload("gone"));
    site.announce();
    let expected = [
        ("receiving", 1, 0),
        ("ready", 2, 11),
        ("collecting", 0, 0),
        ("delivered", 0, 0),
        ("expired", 0, 0),
        ("withdrawn", 0, 0),
        ("failed", 0, 0),
        ("deleted", 1, 4),
    ];
    let census = stat(site.data()).unwrap();
    assert_eq!((&census.states[..], census.is_running), (&expected[..], true));
    let data = site.close();
    let before = tree(data.path());
    let census = stat(data.path()).unwrap();
    assert_eq!((&census.states[..], census.is_running), (&expected[..], false));
    let after = tree(data.path());
    let is_known = |path: &Path| {
        path.extension()
            .is_some_and(|end| end == "sqlite-wal" || end == "sqlite-shm")
    };
    assert_eq!(
        before,
        after
            .into_iter()
            .filter(|(path, _)| !is_known(path))
            .collect::<Vec<_>>()
    );
    // And nobody is in the way of who opens it after.
    open(data.path());
}

#[test]
fn each_difference_is_told_in_a_line_without_the_link() {
    let site = Site::new();
    let whole = site.upload("whole");
    let (missing, short, changed) = (
        site.upload("missing"),
        site.upload("short"),
        site.upload("changed"),
    );
    let unreadable = site.upload("unreadable");
    let half = site.announce();
    let (data, mut steps) = (site.data().to_owned(), Vec::new());
    let verified = verify(&data, &mut |progress| steps.push((progress.done, progress.total))).unwrap();
    assert_eq!(
        (verified.files, verified.bytes, verified.differences.len()),
        (5, 34, 0)
    );
    assert_eq!((steps[0], *steps.last().unwrap()), ((0, 34), (34, 34)));

    fs::remove_file(site.path(&missing)).unwrap();
    fs::write(site.path(&short), "shor").unwrap();
    fs::write(site.path(&changed), "Changed").unwrap();
    fs::remove_file(site.path(&unreadable)).unwrap();
    fs::create_dir(site.path(&unreadable)).unwrap();
    let (complete, unfinished) = (stray(&data.join("files")), stray(&data.join("incoming")));
    // Bytes of a file that is still being received are no strays, wherever they are.
    fs::write(data.join("incoming").join(half.blob.as_str()), "ha").unwrap();
    let verified = verify(&data, &mut nobody).unwrap();
    assert_eq!(verified.files, 1);
    let mut told: Vec<String> = verified.differences.iter().map(Difference::to_string).collect();
    told.sort();
    let of = |uploaded: &Uploaded, problem: &str| {
        format!(
            "{} (file 1 of drop {}){problem}",
            site.path(uploaded).display(),
            uploaded.id.tag()
        )
    };
    let is_directory = fs::metadata(site.path(&unreadable)).unwrap().len();
    let mut expected = vec![
        of(&missing, " is missing"),
        of(&short, " has 4 bytes instead of 5"),
        of(
            &changed,
            " does not have the bytes that were uploaded: its SHA-256 differs",
        ),
        of(&unreadable, &format!(" has {is_directory} bytes instead of 10")),
        format!("{} belongs to no file", complete.display()),
        format!("{} belongs to no file", unfinished.display()),
    ];
    expected.sort();
    assert_eq!(told, expected);
    let links = [&whole, &missing, &short, &changed].map(|uploaded| uploaded.id.as_str());
    assert!(
        told.iter()
            .all(|line| links.iter().all(|link| !line.contains(link)))
    );
}

#[test]
fn a_file_of_before_drops_does_not_show_its_link() {
    let site = Site::new();
    let id = DropId::random().unwrap();
    let old = Uploaded {
        blob: BlobId::parse(id.as_str()).unwrap(),
        id,
    };
    site.announce_as(&old.id, &old.blob);
    site.complete(&old, "old");
    fs::remove_file(site.path(&old)).unwrap();
    let told = verify(site.data(), &mut nobody).unwrap().differences[0].to_string();
    assert!(
        !told.contains(old.id.as_str()) && told.contains(&old.id.tag()),
        "{told}"
    );
}

#[test]
fn what_ends_between_two_looks_is_no_difference() {
    let site = Site::new();
    let all = [site.upload("one"), site.upload("two"), site.upload("six")];
    let mut is_first = true;
    let verified = verify(site.data(), &mut |progress| {
        // The rows are known, one file has been read, and the others go.
        if progress.done > 0 && std::mem::take(&mut is_first) {
            all.iter().for_each(|uploaded| site.withdraw(uploaded));
        }
    });
    let verified = verified.unwrap();
    assert!(
        verified.differences.is_empty() && verified.files == 1,
        "{:?}",
        verified.differences
    );
}

#[test]
fn beside_a_service_only_what_is_nobodys_goes() {
    let site = Site::new();
    let (ready, half, published) = (site.upload("ready"), site.announce(), site.announce());
    let incoming = site.data().join("incoming").join(half.blob.as_str());
    fs::write(&incoming, "ha").unwrap();
    // Its bytes are complete, and the catalog does not know yet.
    let pieces = vec![Bytes::from_static(b"published")];
    on_a_thread(|| site.opened.blobs.store(&published.blob, pieces)).unwrap();
    let (complete, unfinished) = (
        stray(&site.data().join("files")),
        stray(&site.data().join("incoming")),
    );
    let swept = sweep(&DropConfig::default(), site.data()).unwrap();
    assert_eq!((swept.strays, swept.unlinked, swept.is_running), (2, 0, true));
    assert!(!complete.exists() && !unfinished.exists());
    assert!(site.path(&ready).exists() && incoming.exists() && site.path(&published).exists());
}

#[test]
fn without_a_service_all_that_a_start_does_is_done() {
    let site = Site::new();
    let (ready, half, lost, over) = (
        site.upload("ready"),
        site.announce(),
        site.upload("lost"),
        site.upload("over"),
    );
    let incoming = site.data().join("incoming").join(half.blob.as_str());
    fs::write(&incoming, "ha").unwrap();
    fs::remove_file(site.path(&lost)).unwrap();
    on_a_thread(|| site.opened.catalog.end(&over.id, Which::All, Ending::Withdrawn)).unwrap();
    let complete = stray(&site.data().join("files"));
    let paths = [&over, &ready].map(|uploaded| site.path(uploaded));
    let data = site.close();
    let swept = sweep(&DropConfig::default(), data.path()).unwrap();
    // The file that is over and the lost one, whose bytes were gone.
    assert_eq!(
        (swept.ended, swept.unlinked, swept.strays, swept.is_running),
        (1, 2, 2, false)
    );
    assert!(!incoming.exists() && !complete.exists() && !paths[0].exists() && paths[1].exists());
    let again = sweep(&DropConfig::default(), data.path()).unwrap();
    assert_eq!((again.ended, again.unlinked, again.strays), (0, 0, 0));
    let opened = open(data.path());
    assert!(find(&opened, &half.id).is_none());
    assert_eq!(
        find(&opened, &lost.id).unwrap().files[0].life.ending,
        Some(Ending::Lost)
    );
}

#[test]
fn a_copy_is_a_directory_that_opens() {
    let site = Site::new();
    let (one, two, over) = (site.upload("one"), site.upload("two"), site.upload("over"));
    site.withdraw(&over);
    let half = site.announce();
    let parent = tempfile::tempdir().unwrap();
    let to = parent.path().join("copy");
    let mut steps = Vec::new();
    let backup = backup(site.data(), &to, &mut |progress| {
        steps.push((progress.done, progress.total))
    })
    .unwrap();
    assert_eq!(
        (backup.files, backup.bytes, backup.ended, backup.missing),
        (2, 6, 0, 0)
    );
    assert_eq!(*steps.last().unwrap(), (6, 6));
    let copy = DiskBlobs::new(&to);
    for uploaded in [&one, &two] {
        let (original, copied) = (
            fs::metadata(site.path(uploaded)).unwrap(),
            copy.path(&uploaded.blob),
        );
        let found = fs::metadata(&copied).unwrap();
        assert_ne!(found.ino(), original.ino(), "no hard link");
        assert_eq!((found.nlink(), found.permissions().mode() & 0o777), (1, 0o600));
        assert_eq!(
            fs::metadata(copied.parent().unwrap())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
    }
    assert_eq!(
        fs::metadata(to.join("catalog.sqlite"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    assert!(copy.mark().exists());
    // The service goes on, and what ends there stays in the copy.
    site.withdraw(&one);
    let opened = open(&to);
    for (uploaded, content) in [(&one, "one"), (&two, "two")] {
        let drop = find(&opened, &uploaded.id).unwrap();
        assert_eq!(drop.files[0].life.state, State::Ready);
        assert_eq!(
            fs::read_to_string(opened.blobs.path(&uploaded.blob)).unwrap(),
            content
        );
    }
    assert_eq!(
        find(&opened, &over.id).unwrap().files[0].life.ending,
        Some(Ending::Withdrawn)
    );
    assert!(find(&opened, &half.id).is_none());
    drop(opened);
    FileDrop::open(&DropConfig::default(), &to).unwrap().close();
    assert!(verify(&to, &mut nobody).unwrap().differences.is_empty());
}

#[test]
fn a_copy_says_what_ended_while_it_was_made() {
    let site = Site::new();
    let all = [site.upload("one"), site.upload("two"), site.upload("six")];
    let lost = site.upload("lost");
    fs::remove_file(site.path(&lost)).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let to = parent.path().join("copy");
    let mut is_first = true;
    let backup = backup(site.data(), &to, &mut |_| {
        if std::mem::take(&mut is_first) {
            all.iter().for_each(|uploaded| site.withdraw(uploaded));
        }
    });
    let backup = backup.unwrap();
    assert_eq!(backup.missing, 1);
    assert_eq!(backup.files + backup.ended, 3);
    assert!(backup.ended >= 2);
    let opened = open(&to);
    let endings = all
        .iter()
        .map(|uploaded| find(&opened, &uploaded.id).unwrap().files.remove(0).life.ending);
    let withdrawn = endings
        .filter(|ending| *ending == Some(Ending::Withdrawn))
        .count();
    assert_eq!(withdrawn as u64, backup.ended);
    assert_eq!(
        find(&opened, &lost.id).unwrap().files[0].life.ending,
        Some(Ending::Lost)
    );
    assert_eq!(opened.recovered.lost, 1);
}

#[test]
fn a_copy_goes_into_a_directory_of_its_own_and_is_none_before_its_end() {
    let site = Site::new();
    let uploaded = site.upload("one");
    let error = backup(site.data(), site.data(), &mut nobody).unwrap_err();
    assert!(matches!(error, UpkeepError::NotEmpty { .. }), "{error}");
    let to = tempfile::tempdir().unwrap();
    fs::remove_file(site.path(&uploaded)).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", site.path(&uploaded)).unwrap();
    let size = Connection::open(open::database(site.data())).unwrap();
    size.execute("UPDATE files SET size = 0", []).unwrap();
    // Its bytes cannot be read.
    if let Err(error) = backup(site.data(), to.path(), &mut nobody) {
        assert!(matches!(error, UpkeepError::Unusable { .. }), "{error}");
        assert!(!to.path().join("catalog.sqlite").exists());
        assert!(matches!(stat(to.path()), Err(UpkeepError::NoDrop { .. })));
    } else {
        panic!("what cannot be read was copied");
    }
}
