//! A disk that others have filled.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::StatusCode;

use crate::support::*;

/// A small file system of its own; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None`, with the reason printed, when this system does not let us mount.
    fn mount(at: &Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "truehop-test"])
            .arg(at)
            .output();
        match mount {
            Ok(done) if done.status.success() => Some(Self(at.to_owned())),
            Ok(done) => {
                println!(
                    "skipped: mount says {}",
                    String::from_utf8_lossy(&done.stderr).trim()
                );
                None
            }
            Err(error) => {
                println!("skipped: mount cannot be run: {error}");
                None
            }
        }
    }

    /// Somebody else takes all the room there is.
    fn fill(&self) {
        let path = self.0.join("filler");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        for size in [65_536, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn reserve(&self) -> PathBuf {
        self.0.join("data/reserve")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that fails still has files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn what_must_be_written_down_finds_room_and_deleting_makes_some() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(place.path()) else {
        return;
    };
    let site = Site::at(place.path().join("data"));
    let (one, two) = (
        site.upload("1", &"x".repeat(50_000)).await,
        site.upload("2", "y").await,
    );
    let three = site.upload("3", "z").await;
    assert_eq!(fs::metadata(disk.reserve()).unwrap().len(), 1024 * 1024);

    disk.fill();
    assert_eq!(
        site.send(ask("PUT", "/no").body("x")).await.status,
        StatusCode::INSUFFICIENT_STORAGE
    );
    assert!(disk.reserve().exists(), "an upload does not get the reserve");
    let withdrawn = site.send(ask("DELETE", &one.path)).await;
    assert_eq!(withdrawn.status, StatusCode::OK);
    assert!(!disk.reserve().exists());
    // What was given up is not for uploads.
    assert_eq!(
        site.send(ask("PUT", "/no").body("x")).await.status,
        StatusCode::INSUFFICIENT_STORAGE
    );
    assert_eq!(site.collect(&two.path, AWAY).await.deliver().await, "y");
    site.until(&two.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert_eq!(site.on_disk().len(), 1);

    fs::remove_file(place.path().join("filler")).unwrap();
    site.drop.sweep().await;
    let reserve = fs::metadata(disk.reserve()).unwrap();
    assert_eq!(
        (reserve.len(), reserve.permissions().mode() & 0o777),
        (1024 * 1024, 0o600)
    );
    site.upload("4", "z").await;

    // Without a reserve: nothing is changed, and that is what is said.
    fs::remove_file(disk.reserve()).unwrap();
    disk.fill();
    for ask in [
        ask("DELETE", &three.path),
        ask("GET", &format!("{}/raw", three.path)).from(AWAY),
    ] {
        let refused = site.send(ask).await;
        assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(refused.courier.is_none());
        let text = refused.text().await;
        assert!(
            text.contains("nothing was changed") && !text.contains("kept"),
            "{text}"
        );
    }
    fs::remove_file(place.path().join("filler")).unwrap();
    assert_eq!(site.collect(&three.path, AWAY).await.deliver().await, "z");
    site.until(&three.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn a_start_on_a_full_disk_uses_the_reserve_and_takes_it_back() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(place.path()) else {
        return;
    };
    let site = Site::at(place.path().join("data"));
    let expired = site.upload("a", &"x".repeat(1_500_000)).await;
    let held = site.collect(&expired.path, AWAY).await;
    // A lease after its time is up.
    site.advance(std::time::Duration::from_secs(86_400 + 120));
    let kept = site.upload("b", "y").await;
    let site = site.restart(|_, _| {
        drop(held);
        disk.fill();
    });
    assert_eq!(site.rows("ending = 'expired'"), 1);
    assert_eq!(site.on_disk().len(), 1);
    assert_eq!(fs::metadata(disk.reserve()).unwrap().len(), 1024 * 1024);
    assert_eq!(site.collect(&kept.path, AWAY).await.deliver().await, "y");
    site.until(&kept.path, StatusCode::GONE).await;
}
