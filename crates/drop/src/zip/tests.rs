//! What other programs make of our archives.
//!
//! Invariant: what is judged is the bytes, whole and in slices; nothing of how they were made.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::process::Command;

use proptest::prelude::*;

use super::*;

/// The archive as it is sent, with these contents.
fn written(archive: Outline, contents: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in archive.into_segments() {
        match segment {
            Segment::Bytes(piece) => bytes.extend(piece),
            Segment::File { number, range } => {
                bytes.extend(&contents[number as usize - 1][range.start as usize..range.end as usize]);
            }
        }
    }
    bytes
}

fn entries<'a>(files: &[(&'a str, &[u8])]) -> Vec<Entry<'a>> {
    let numbered = (1..).zip(files);
    let entry = |(number, (name, content)): (u32, &(&'a str, &[u8]))| Entry {
        number,
        name,
        size: content.len() as u64,
        crc32: crc32fast::hash(content),
    };
    numbered.map(entry).collect()
}

fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let contents: Vec<&[u8]> = files.iter().map(|(_, content)| *content).collect();
    let outline = archive(&entries(files));
    let len = outline.len();
    let bytes = written(outline, &contents);
    assert_eq!(bytes.len() as u64, len);
    bytes
}

/// What another program reads in an archive.
fn read_back(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|n| {
            let mut file = archive.by_index(n).unwrap();
            assert_eq!(file.unix_mode(), Some(0o100_644));
            let mut content = Vec::new();
            // Checks the CRC.
            file.read_to_end(&mut content).unwrap();
            (file.name().to_owned(), content)
        })
        .collect()
}

#[test]
fn another_program_reads_what_is_written() {
    let files: [(&str, &[u8]); 5] = [
        ("a.txt", b"one"),
        ("a.txt", b"two"),
        ("A.TXT", b""),
        ("日本語.tar.gz", &[0, 255, 10, 13]),
        ("plain", b"PK\x05\x06 in the middle"),
    ];
    let read = read_back(&archive_of(&files));
    let names = ["a.txt", "a (2).txt", "A (3).TXT", "日本語.tar.gz", "plain"];
    assert_eq!(read.len(), files.len());
    for ((read, name), (_, content)) in read.iter().zip(names).zip(files) {
        assert_eq!((read.0.as_str(), read.1.as_slice()), (name, content));
    }
    assert_eq!(archive_of(&[]).len(), 22);
}

/// Python's module is another reader, and checks each CRC too.
#[test]
fn python_finds_nothing_wrong() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&archive_of(&[
        ("a.txt", b"one"),
        ("ä.txt", b""),
        ("a.txt", b"two"),
    ]))
    .unwrap();
    let python = Command::new("python3")
        .args(["-m", "zipfile", "-t"])
        .arg(file.path())
        .output();
    match python {
        Ok(tested) => {
            let told = String::from_utf8_lossy(&tested.stdout).into_owned();
            assert!(tested.status.success() && told.contains("Done testing"), "{told}");
            assert!(!told.contains("bad"), "{told}");
        }
        Err(error) => println!("skipped: python3 cannot be run: {error}"),
    }
}

#[test]
fn no_name_leads_out_of_the_directory_and_none_is_given_twice() {
    let names = ["../x", "C:\\x", "a", "a (2)", "a", "a", ".env", ".env", "what?"];
    let files: Vec<(&str, &[u8])> = names.map(|name| (name, &b"x"[..])).to_vec();
    let read: Vec<String> = read_back(&archive_of(&files))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        read,
        [
            ".._x", "C__x", "a", "a (2)", "a (3)", "a (4)", ".env", ".env (2)", "what_"
        ]
    );
    let long = "x".repeat(LONGEST);
    let names: Vec<String> = read_back(&archive_of(&[(&long, b""), (&long, b"")]))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        names[1].len() == LONGEST && names[1].ends_with("x (2)"),
        "{names:?}"
    );
}

/// Each number is tried once, whether names are the same by themselves, where case does not count, or once they are cut.
#[test]
fn a_name_for_each_of_many_takes_a_look_for_each() {
    let same = |_| "a.txt".to_owned();
    let cased = |n| if n % 2 == 0 { "A.txt" } else { "a.TXT" }.to_owned();
    let taken = |n| {
        if n < 500 {
            format!("a ({n}).txt")
        } else {
            "a.txt".to_owned()
        }
    };
    let long = |n| format!("{}{:04}.txt", "x".repeat(LONGEST - 8), n / 2);
    let of: [&dyn Fn(u32) -> String; 4] = [&same, &cased, &taken, &long];
    for name in of {
        let mut names = Names::default();
        let given: HashSet<String> = (0..1000).map(|n| names.unique(&name(n))).collect();
        assert_eq!(given.len(), 1000);
        assert!(given.iter().all(|name| name.len() <= LONGEST));
        let looks: u32 = names.counts.values().map(|count| count - 1).sum();
        assert!(looks <= 2000, "{looks}");
    }
}

/// Only the headers are written; what is between them is a hole.
fn sparse(entries: &[Entry<'_>]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let outline = archive(entries);
    let len = outline.len();
    for segment in outline.into_segments() {
        match segment {
            Segment::Bytes(bytes) => file.write_all(&bytes).unwrap(),
            Segment::File { range, .. } => {
                file.seek(SeekFrom::Current((range.end - range.start) as i64))
                    .unwrap();
            }
        }
    }
    assert_eq!(file.metadata().unwrap().len(), len);
    file.rewind().unwrap();
    file
}

fn large(number: u32, size: u64) -> Entry<'static> {
    Entry {
        number,
        name: ["a", "b", "c"][number as usize - 1],
        size,
        crc32: 0,
    }
}

#[test]
fn what_is_larger_than_four_gigabytes_is_read_too() {
    const GIB: u64 = 1 << 30;
    for sizes in [
        &[5 * GIB, 7][..],
        &[7, 5 * GIB, 9],
        &[3 * GIB, 3 * GIB, 1],
        &[LARGE],
        &[LARGE - 1],
        // The second one's header begins at the largest number that fits, and one after.
        &[LARGE - 1 - 31, 7],
        &[LARGE - 31, 7],
    ] {
        let entries: Vec<Entry<'_>> = (1..)
            .zip(sizes)
            .map(|(number, &size)| large(number, size))
            .collect();
        let mut read = ::zip::ZipArchive::new(sparse(&entries)).unwrap();
        assert_eq!(read.len(), sizes.len());
        let mut begins = 0;
        for (n, &size) in sizes.iter().enumerate() {
            let file = read.by_index_raw(n).unwrap();
            assert_eq!((file.size(), file.header_start()), (size, begins), "{sizes:?}");
            begins = file.data_start().unwrap() + size;
        }
    }
}

#[test]
fn the_large_records_are_there_when_they_are_needed_and_not_else() {
    let has = |sizes: &[u64], signature: &[u8]| {
        let entries: Vec<Entry<'_>> = (1..)
            .zip(sizes)
            .map(|(number, &size)| large(number, size))
            .collect();
        let segments = archive(&entries).into_segments();
        segments.iter().any(|segment| match segment {
            Segment::Bytes(bytes) => bytes.windows(4).any(|window| window == signature),
            Segment::File { .. } => false,
        })
    };
    let (end, field) = (b"PK\x06\x06", b"\x01\x00\x10\x00");
    // The directory begins after one header of 31 bytes.
    for (sizes, needs_end, needs_field) in [
        (&[7][..], false, false),
        (&[LARGE - 1 - 31], false, false),
        (&[LARGE - 31], true, false),
        (&[LARGE - 1], true, false),
        (&[LARGE], true, true),
    ] {
        assert_eq!(
            (has(sizes, end), has(sizes, field)),
            (needs_end, needs_field),
            "{sizes:?}"
        );
    }
    let needs_end = |count: u64| {
        let mut directory = Vec::new();
        end_of_directory(&mut directory, count, 0);
        directory.starts_with(end)
    };
    assert!(!needs_end(65_535) && needs_end(65_536));
}

proptest! {
    #[test]
    fn any_slice_is_that_slice_of_the_archive(
        files in prop::collection::vec(("[a-c.]{1,3}", prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        from in 0usize..600,
        len in 0usize..600,
    ) {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        let contents: Vec<&[u8]> = files.iter().map(|(_, content)| *content).collect();
        let whole = archive_of(&files);
        let (from, to) = (from.min(whole.len()), (from + len).min(whole.len()));
        let slice = archive(&entries(&files)).slice(from as u64, len as u64);
        prop_assert_eq!(slice.len(), (to - from) as u64);
        prop_assert_eq!(written(slice, &contents), &whole[from..to]);
        let read: Vec<Vec<u8>> = read_back(&whole).into_iter().map(|(_, content)| content).collect();
        prop_assert_eq!(read, contents);
    }
}
