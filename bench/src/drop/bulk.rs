//! One large file: up by one client, and down again while the page cache has it.
//!
//! A turn of one contender:
//! 1. The file goes up. The answer ends the time; then we call fsync for those that have not, and that ends the second
//!    time: until the file was on the disk, whoever saw to it, and for how much CPU.
//! 2. It comes down for the first time; whoever wrote it past the page cache reads it from the disk now.
//! 3. It comes down to be compared byte by byte, then some more times, which count.
//! 4. Ours only: it comes down to a recipient, which delivers and deletes it. A program that deletes is done when it
//!    has deleted; that it has is looked at on the disk.
//! 5. nginx only: we hash its file and unlink it, for what these alone cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use truehop_bench::cost::of_this_thread;

use crate::contender::{Contender, Stored};
use crate::disk;
use crate::stage::{Bench, Cost, OWNER, PATIENCE, RECIPIENT, Stage};
use crate::summary::{Measured, Row, THEN_HASH, THEN_RM, TO_OWNER, TO_RECIPIENT};

/// Downloads that count, one after the other.
const DOWNLOADS: u32 = 3;

/// One figure of a turn: which row, and which way of the contender's.
pub type Figure = (Row, &'static str, Measured);

pub fn turn(bench: &Bench, contender: Contender, size: u64) -> Result<Vec<Figure>, String> {
    // What others left to be written is not to be written now.
    disk::settle(bench.directory)?;
    let mut stage = bench.stage(contender, bench.directory)?;
    let mut figures = Vec::new();

    disk::warm(bench.directory, size)?;
    let ((file, wall), cost) = stage.measure(|stage| {
        let start = Instant::now();
        let file = stage.upload(size)?;
        Ok((file, start.elapsed().as_secs_f64()))
    })?;
    let on_disk = on_disk(&stage.data, size)?;
    let start = Instant::now();
    let (synced, sync) = of_this_thread(|| disk::sync(&on_disk));
    synced?;
    let upload = Measured {
        wall,
        durable: wall + start.elapsed().as_secs_f64(),
        written: cost.cpu.total() + sync,
        ..measured(cost, 1)
    };
    figures.push((Row::Upload, "", upload.clone()));
    if contender == Contender::Nginx {
        let (hashed, hash) = of_this_thread(|| disk::hash(&on_disk));
        hashed?;
        let hashed = Measured {
            user: upload.user + hash,
            system: upload.system + sync,
            wall: upload.durable + hash,
            durable: upload.durable + hash,
            written: upload.written + hash,
            ..upload
        };
        figures.push((Row::Upload, THEN_HASH, hashed));
    }

    let ((), cost) = stage.measure(|stage| stage.download(&file, OWNER, size, false))?;
    figures.push((Row::First, "", measured(cost, 1)));
    stage.download(&file, OWNER, size, true)?;
    let ((), cost) =
        stage.measure(|stage| (0..DOWNLOADS).try_for_each(|_| stage.download(&file, OWNER, size, false)))?;
    let download = measured(cost, DOWNLOADS);
    match contender {
        Contender::Ours => {
            figures.push((Row::Download, TO_OWNER, download));
            figures.push((Row::Download, TO_RECIPIENT, collected(&mut stage, &file, size)?));
        }
        Contender::Nginx => {
            let (removed, unlink) = of_this_thread(|| fs::remove_file(&on_disk));
            removed.map_err(|error| format!("{}: {error}", on_disk.display()))?;
            let removed = Measured {
                system: download.system + unlink,
                ..download.clone()
            };
            figures.push((Row::Download, "", download));
            figures.push((Row::Download, THEN_RM, removed));
        }
        _ => figures.push((Row::Download, "", download)),
    }
    stage.close()?;
    Ok(figures)
}

fn collected(stage: &mut Stage, file: &Stored, size: u64) -> Result<Measured, String> {
    let ((), cost) = stage.measure(|stage| stage.download(file, RECIPIENT, size, false))?;
    stage.is_gone(file)?;
    let deadline = Instant::now() + PATIENCE;
    while on_disk(&stage.data, size).is_ok() {
        if Instant::now() > deadline {
            return Err("a file that was delivered is still on the disk".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(measured(cost, 1))
}

/// The file of so many bytes: nothing else that anybody keeps is as long.
fn on_disk(data: &Path, size: u64) -> Result<PathBuf, String> {
    let mut files = disk::files_below(data)?.into_iter();
    let found = files.find(|(_, bytes)| *bytes == size);
    found
        .map(|(path, _)| path)
        .ok_or_else(|| format!("no file of {size} bytes in {}", data.display()))
}

fn measured(cost: Cost, times: u32) -> Measured {
    let times = f64::from(times);
    Measured {
        user: cost.cpu.user / times,
        system: cost.cpu.system / times,
        wall: cost.wall / times,
        peak: cost.peak,
        ..Measured::default()
    }
}
