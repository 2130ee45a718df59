//! What was promised, who has what of it, and what cannot be.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use truehop_e2e::{Dice, Entry, Host, Link, Pieces, Uploaded};

/// What a kernel may hold of an answer for a narrow client that does not read it; far more than it does.
pub(crate) const HELD: usize = 256 << 10;

/// The books of all processes together.
#[derive(Debug, Default)]
pub(crate) struct Books(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    drops: Vec<Promised>,
    failures: Vec<String>,
    uploads: u64,
    refused: u64,
    resumed: u64,
    /// The number of the process.
    chapter: u64,
}

/// An upload that was answered with 201.
#[derive(Clone, Debug)]
struct Promised {
    link: Link,
    owner: String,
    uploader: Host,
    files: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    content: Arc<Vec<u8>>,
    /// What each surely has, and the server surely knows if it lives.
    has: HashMap<Host, Pieces>,
    /// What each may have: also what came before they cut the connection, and what their kernels took then.
    may_have: HashMap<Host, Pieces>,
    /// Its owner asked for it to be withdrawn, or may have been heard.
    is_withdrawn: bool,
    /// Somebody was told that it is over.
    is_gone: bool,
    /// What happened to it, to be read when something does not add up.
    history: Vec<String>,
}

/// A drop that somebody has heard of.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) at: usize,
    pub(crate) link: Link,
    pub(crate) owner: String,
    pub(crate) uploader: Host,
    pub(crate) contents: Vec<Arc<Vec<u8>>>,
}

impl Known {
    pub(crate) fn content(&self, number: u32) -> &[u8] {
        &self.contents[number as usize - 1]
    }

    pub(crate) fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        1..=u32::try_from(self.contents.len()).expect("few files")
    }
}

impl Books {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn promise(&self, uploader: Host, uploaded: Uploaded, contents: Vec<Arc<Vec<u8>>>) {
        let files = contents.into_iter().map(|content| File {
            content,
            has: HashMap::new(),
            may_have: HashMap::new(),
            is_withdrawn: false,
            is_gone: false,
            history: Vec::new(),
        });
        let promised = Promised {
            link: uploaded.link,
            owner: uploaded.owner,
            uploader,
            files: files.collect(),
        };
        let mut pages = self.pages();
        pages.uploads += 1;
        pages.drops.push(promised);
    }

    /// How many drops have a file that is not over, as far as anybody knows.
    pub(crate) fn live(&self) -> usize {
        let pages = self.pages();
        let live = |promised: &&Promised| promised.files.iter().any(|file| !file.is_over());
        pages.drops.iter().filter(live).count()
    }

    /// A drop to try one's luck with: often a new one, sometimes one that is over.
    pub(crate) fn some(&self, dice: &mut Dice) -> Option<Known> {
        let pages = self.pages();
        let count = pages.drops.len();
        let at = match dice.below(4) {
            0 => dice.below(count as u64) as usize,
            _ => count.saturating_sub(1 + dice.below(12) as usize),
        };
        pages.drops.get(at).map(|promised| promised.known(at))
    }

    pub(crate) fn all(&self) -> Vec<Known> {
        let pages = self.pages();
        (0..)
            .zip(&pages.drops)
            .map(|(at, promised)| promised.known(at))
            .collect()
    }

    /// What `host` has of a file.
    pub(crate) fn has(&self, at: usize, number: u32, host: Host) -> Pieces {
        let file = &self.pages().drops[at].files[number as usize - 1];
        file.has.get(&host).cloned().unwrap_or_default()
    }

    pub(crate) fn is_gone(&self, at: usize, number: u32) -> bool {
        self.pages().drops[at].files[number as usize - 1].is_gone
    }

    /// A recipient got these bytes. `has_left`: it cut the connection; then the other side may know of less, and what counts is
    /// what was acknowledged.
    pub(crate) fn got(
        &self,
        at: usize,
        number: u32,
        host: Host,
        offset: usize,
        bytes: &[u8],
        has_left: bool,
    ) {
        let mut pages = self.pages();
        let chapter = pages.chapter;
        let file = &mut pages.drops[at].files[number as usize - 1];
        let content = Arc::clone(&file.content);
        let end = offset + bytes.len();
        file.history.push(format!(
            "process {chapter}: {host} got {offset}..{end} of {}{}",
            content.len(),
            if has_left { ", and left" } else { "" }
        ));
        let taken = file.may_have.entry(host).or_default();
        let mut failure = taken.add(&content, offset, bytes).err();
        if !has_left && failure.is_none() {
            failure = file
                .has
                .entry(host)
                .or_default()
                .add(&content, offset, bytes)
                .err();
        }
        if has_left {
            file.left(host, end);
        }
        let whole: Vec<Host> = file.whole().collect();
        // Of an empty file there is nothing that two could have, so it is given again when nobody has acknowledged it.
        if whole.len() > 1 && !content.is_empty() {
            failure = Some(format!("{whole:?} have everything"));
        }
        if let Some(failure) = failure {
            let history = file.history.join("\n  ");
            let failure = format!(
                "file {number} of {}: {failure}\n  {history}",
                pages.drops[at].link
            );
            pages.failures.push(failure);
        }
    }

    /// A recipient left before anything came.
    pub(crate) fn left(&self, at: usize, number: u32, host: Host) {
        self.pages().drops[at].files[number as usize - 1].left(host, 0);
    }

    /// A recipient got these entries of an archive.
    pub(crate) fn got_archive(&self, known: &Known, host: Host, entries: &[Entry], has_left: bool) {
        for entry in entries {
            let number = entry
                .name
                .strip_suffix(".bin")
                .and_then(|number| number.parse().ok());
            match number.filter(|number| known.numbers().contains(number)) {
                Some(number) => self.got(known.at, number, host, 0, &entry.bytes, has_left),
                None => self.fail(format!("{}: an entry {:?}", known.link, entry.name)),
            }
        }
        if has_left {
            // Whatever comes behind the last byte that was read.
            let mut pages = self.pages();
            for file in &mut pages.drops[known.at].files {
                file.left(host, 0);
            }
        }
    }

    /// Its owner asks for its end. Before the request, because nobody may learn whether it was heard.
    pub(crate) fn withdraw(&self, at: usize, number: Option<u32>) {
        let mut pages = self.pages();
        let chapter = pages.chapter;
        for (had, file) in (1..).zip(&mut pages.drops[at].files) {
            if number.is_none_or(|number| number == had) {
                file.is_withdrawn = true;
                file.history
                    .push(format!("process {chapter}: its owner takes it back"));
            }
        }
    }

    /// Whether what the request is about was withdrawn, as far as anybody knows.
    pub(crate) fn may_be_cut(&self, request: &str) -> bool {
        let pages = self.pages();
        let mut about = pages
            .drops
            .iter()
            .filter(|promised| request.contains(promised.link.page()));
        about.any(|promised| promised.files.iter().any(|file| file.is_withdrawn))
    }

    /// Somebody was told that it is over.
    pub(crate) fn gone(&self, at: usize, number: u32) {
        let mut pages = self.pages();
        let chapter = pages.chapter;
        let file = &mut pages.drops[at].files[number as usize - 1];
        if !file.is_gone {
            file.history
                .push(format!("process {chapter}: it is told to be over"));
        }
        file.is_gone = true;
    }

    /// Bytes were begun to be given to `host`, who asked after it was told to be over.
    pub(crate) fn risen(&self, at: usize, number: u32, host: Host) {
        let mut pages = self.pages();
        let promised = &pages.drops[at];
        let file = &promised.files[number as usize - 1];
        // The one who has it may try again for a while.
        if !file.perhaps_whole().any(|whole| whole == host) {
            let failure = format!("file {number} of {} was over, and {host} got it", promised.link);
            pages.failures.push(failure);
        }
    }

    pub(crate) fn fail(&self, failure: String) {
        self.pages().failures.push(failure);
    }

    pub(crate) fn refused(&self) {
        self.pages().refused += 1;
    }

    pub(crate) fn resumed(&self) {
        self.pages().resumed += 1;
    }

    /// A process is dead and all that it sent was read: until here, everything must add up.
    #[track_caller]
    pub(crate) fn close_chapter(&self, chapter: u64) {
        let mut pages = self.pages();
        pages.chapter = chapter + 1;
        let mut failures = std::mem::take(&mut pages.failures);
        for promised in &pages.drops {
            for (number, file) in (1..).zip(&promised.files) {
                let is_explained = file.is_withdrawn || file.perhaps_whole().next().is_some();
                if file.is_gone && !is_explained {
                    failures.push(format!(
                        "file {number} of {} is gone and nobody has it\n  {}",
                        promised.link,
                        file.history.join("\n  ")
                    ));
                }
            }
        }
        drop(pages);
        let mut told = String::new();
        for failure in failures.iter().take(20) {
            let _ = writeln!(told, "{failure}");
        }
        assert!(failures.is_empty(), "after process {chapter}:\n{told}");
    }

    pub(crate) fn totals(&self) -> String {
        let pages = self.pages();
        let files = || pages.drops.iter().flat_map(|promised| &promised.files);
        format!(
            "{} uploads of {} files, {} of them whole at one recipient, {} collections resumed, {} requests refused",
            pages.uploads,
            files().count(),
            files().filter(|file| file.whole().next().is_some()).count(),
            pages.resumed,
            pages.refused
        )
    }
}

impl Promised {
    fn known(&self, at: usize) -> Known {
        Known {
            at,
            link: self.link.clone(),
            owner: self.owner.clone(),
            uploader: self.uploader,
            contents: self.files.iter().map(|file| Arc::clone(&file.content)).collect(),
        }
    }
}

impl File {
    fn is_over(&self) -> bool {
        self.is_gone || self.is_withdrawn
    }

    /// Those who have all of it.
    fn whole(&self) -> impl Iterator<Item = Host> {
        self.those_with_all(&self.has)
    }

    /// Those who may have all of it.
    fn perhaps_whole(&self) -> impl Iterator<Item = Host> {
        self.those_with_all(&self.may_have)
    }

    fn those_with_all(&self, pieces: &HashMap<Host, Pieces>) -> impl Iterator<Item = Host> {
        let size = self.content.len();
        let whole = pieces.iter().filter(move |(_, pieces)| pieces.is_whole(size));
        whole.map(|(host, _)| *host)
    }

    /// Somebody cut the connection after byte `end`; their kernel may have taken more.
    fn left(&mut self, host: Host, end: usize) {
        let most = self.content.len().min(end + HELD);
        let taken = self.may_have.entry(host).or_default();
        let added = taken.add(&self.content, end, &self.content[end..most]);
        debug_assert!(added.is_ok(), "they are its own");
    }
}

/// Books that find nothing would prove nothing.
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const ONE: Host = Host::at(127, 0, 2, 1);
    const OTHER: Host = Host::at(127, 0, 2, 2);

    fn books() -> (Books, Vec<u8>) {
        let (books, content) = (Books::default(), truehop_e2e::content(1, 400 << 10));
        let uploaded = Uploaded {
            link: Link::of_id("id"),
            owner: String::new(),
        };
        books.promise(Host::at(127, 0, 3, 1), uploaded, vec![Arc::new(content.clone())]);
        (books, content)
    }

    fn close(books: &Books) -> bool {
        catch_unwind(AssertUnwindSafe(|| books.close_chapter(1))).is_ok()
    }

    #[test]
    fn two_who_have_everything_are_found() {
        let (books, content) = books();
        books.got(0, 1, ONE, 0, &content, false);
        books.got(0, 1, OTHER, 0, &content[..content.len() - 1], false);
        assert!(close(&books));
        books.got(
            0,
            1,
            OTHER,
            content.len() - 1,
            &content[content.len() - 1..],
            false,
        );
        assert!(!close(&books));
    }

    #[test]
    fn what_is_gone_and_nobody_has_is_found() {
        let (books, content) = books();
        books.got(0, 1, ONE, 0, &content[..content.len() / 4], true);
        books.gone(0, 1);
        assert!(!close(&books));
        // Unless its kernel may have had the rest.
        books.got(0, 1, ONE, 0, &content[..content.len() - 10], true);
        assert!(close(&books));
    }

    #[test]
    fn bytes_of_what_was_over_are_found() {
        let (books, content) = books();
        books.got(0, 1, ONE, 0, &content, false);
        books.gone(0, 1);
        books.risen(0, 1, ONE);
        assert!(close(&books));
        books.risen(0, 1, OTHER);
        assert!(!close(&books));
    }

    #[test]
    fn other_bytes_are_found() {
        let (books, mut content) = books();
        content[100] ^= 1;
        books.got(0, 1, ONE, 0, &content, false);
        assert!(!close(&books));
    }
}
