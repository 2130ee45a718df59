//! A catalog with many files that wait, made from one that was really uploaded.
//!
//! 1. The program itself has received one file, and has ended: its rows and its blob are there as it writes them.
//! 2. Each row that speaks of the file is written again for every new one, with other names in it; so is the blob, as
//!    another link to the same bytes.
//!
//! Invariant: nothing here knows the schema but for how a key is made. What tells two files apart are the drop's id, which was in the link, with the
//! number that is made of it, and the name of its blob; everything else the copies have in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

/// The catalog's name in the data directory.
const CATALOG: &str = "catalog.sqlite";

/// Links to one file; the usual file systems allow 65,000.
const LINKS: usize = 50_000;

/// What tells a file from all others.
#[derive(Clone, Debug)]
struct Names {
    drop: String,
    blob: String,
}

/// Makes `count` files of the one with this id, itself among them, whose blob has so many bytes. Their ids.
pub fn seed(data: &Path, id: &str, length: u64, count: usize) -> Result<Vec<String>, String> {
    let original = find_blob(data, length)?;
    let name = original.file_name().and_then(|name| name.to_str());
    let template = Names {
        drop: id.to_owned(),
        blob: name.ok_or("the blob's name is no text")?.to_owned(),
    };
    let copies: Vec<_> = (1..count as u64).map(|number| template.another(number)).collect();
    rows(&data.join(CATALOG), &template, &copies).map_err(|error| format!("{CATALOG}: {error}"))?;
    let mut source = original.clone();
    for (at, copy) in copies.iter().enumerate() {
        let path = copy.path(&original, data, &template);
        let failed = |error| format!("{}: {error}", path.display());
        match at % LINKS {
            0 => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder).map_err(failed)?;
                }
                fs::copy(&original, &path).map_err(failed)?;
                source = path;
            }
            _ => link(&source, &path).map_err(failed)?,
        }
    }
    Ok([template]
        .into_iter()
        .chain(copies)
        .map(|names| names.drop)
        .collect())
}

fn link(source: &Path, path: &Path) -> std::io::Result<()> {
    match (fs::hard_link(source, path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            fs::hard_link(source, path)
        }
        (done, _) => done,
    }
}

impl Names {
    fn another(&self, number: u64) -> Self {
        // The blob of a drop's only file may have the drop's name.
        let drop = alike(&self.drop, number);
        let blob = match self.blob.contains(&self.drop) {
            true => self.blob.replace(&self.drop, &drop),
            false => alike(&self.blob, !number),
        };
        Self { drop, blob }
    }

    /// Where the blob with these names is, when the template's is at `original`: folders may be named after the first
    /// characters of a blob's name, each after those that follow.
    fn path(&self, original: &Path, data: &Path, template: &Self) -> PathBuf {
        let mut path = data.to_owned();
        let folders = original.strip_prefix(data).ok().and_then(Path::parent);
        let mut known = 0;
        for folder in folders.into_iter().flatten() {
            let folder = folder.to_string_lossy();
            let end = known + folder.len();
            match template.blob.get(known..end) == Some(&*folder) {
                true => {
                    path.push(&self.blob[known..end]);
                    known = end;
                }
                false => path.push(&*folder),
            }
        }
        path.join(&self.blob)
    }

    /// The number that the first characters of a drop's name come to; a file's own number follows it in seven bits.
    fn first(&self) -> i64 {
        let characters = self.drop.bytes().take(11);
        characters.fold(0, |number, character| {
            (number << 5)
                | match character {
                    b'a'..=b'z' => i64::from(character - b'a') + 6,
                    _ => i64::from(character.wrapping_sub(b'2') & 7),
                }
        })
    }

    /// What stands in a copy's row where the template's has this.
    fn renamed(&self, value: &Value, template: &Self) -> Value {
        match value {
            Value::Text(text) => Value::Text(
                text.replace(&template.drop, &self.drop)
                    .replace(&template.blob, &self.blob),
            ),
            Value::Integer(key) if key >> 7 == template.first() => {
                Value::Integer((self.first() << 7) | (key & 127))
            }
            other => other.clone(),
        }
    }
}

/// A name of the same shape as another, by its number: no two are the same, and they are in no order.
fn alike(name: &str, number: u64) -> String {
    let (mut state, mut left) = (number, 0);
    let mut random = || {
        if left == 0 {
            // SplitMix64 (Steele, Lea, Flood 2014): distinct for distinct numbers.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            left = mixed ^ (mixed >> 31);
        }
        let five = left & 31;
        left >>= 5;
        five as usize
    };
    // The letters that both base32 and base64url have.
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letters = name.chars().map(|letter| match letter.is_ascii_alphanumeric() {
        true => char::from(ALPHABET[random()]),
        false => letter,
    });
    letters.collect()
}

/// The only file of this length that is no part of the catalog.
fn find_blob(directory: &Path, length: u64) -> Result<PathBuf, String> {
    let failed = |error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let found = entry.metadata().map_err(failed)?;
        if found.is_dir() {
            if let Ok(path) = find_blob(&entry.path(), length) {
                return Ok(path);
            }
        } else if found.len() == length && !entry.file_name().to_string_lossy().starts_with(CATALOG) {
            return Ok(entry.path());
        }
    }
    Err(format!("no blob of {length} bytes in {}", directory.display()))
}

/// Writes the template's rows once more for each copy.
fn rows(catalog: &Path, template: &Names, copies: &[Names]) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut db = Connection::open_with_flags(catalog, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    // 512 MiB: names come in no order, so every page of the indexes is wanted again and again.
    db.pragma_update(None, "cache_size", -512 * 1024)?;
    let tables = {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut query = db.prepare(sql)?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        names.collect::<rusqlite::Result<Vec<_>>>()?
    };
    let change = db.transaction()?;
    for table in tables {
        for row in rows_about(&change, &table, template)? {
            let places = vec!["?"; row.len()].join(", ");
            let mut insert = change.prepare(&format!("INSERT INTO \"{table}\" VALUES ({places})"))?;
            for copy in copies {
                let values = row.iter().map(|value| copy.renamed(value, template));
                insert.execute(params_from_iter(values))?;
            }
        }
    }
    change.commit()?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    db.close().map_err(|(_, error)| error)
}

/// The rows of a table that have one of the template's names in them.
fn rows_about(db: &Connection, table: &str, template: &Names) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut query = db.prepare(&format!("SELECT * FROM \"{table}\""))?;
    let columns = query.column_count();
    let rows = query.query_map([], |row| (0..columns).map(|at| row.get::<_, Value>(at)).collect())?;
    let rows = rows.collect::<rusqlite::Result<Vec<Vec<Value>>>>()?;
    let about = |value: &Value| match value {
        Value::Text(text) => text.contains(&template.drop) || text.contains(&template.blob),
        _ => false,
    };
    Ok(rows.into_iter().filter(|row| row.iter().any(about)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DROP: &str = "abcdefghijklmnopqrstuvwxyz";
    const BLOB: &str = "zyxw-vutsrqponmlkjihgfedcba";

    /// A data directory with tables of some shape, and a blob in a folder.
    fn data(folder: &str, blob: &str, tables: &str) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir_all(data.path().join(folder)).unwrap();
        fs::write(data.path().join(folder).join(blob), [7; 100]).unwrap();
        fs::write(data.path().join("lock"), "1").unwrap();
        let db = Connection::open(data.path().join(CATALOG)).unwrap();
        db.execute_batch(tables).unwrap();
        data
    }

    fn count(data: &Path, sql: &str) -> i64 {
        let db = Connection::open(data.join(CATALOG)).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn every_row_about_the_file_is_copied_with_other_names() {
        let names = Names {
            drop: DROP.to_owned(),
            blob: BLOB.to_owned(),
        };
        let key = (names.first() << 7) + 1;
        let tables = format!(
            "CREATE TABLE files (key INTEGER PRIMARY KEY, id TEXT NOT NULL, number INTEGER NOT NULL, salt BLOB,
                                 blob TEXT NOT NULL UNIQUE, size INTEGER) STRICT;
             CREATE TABLE other (key TEXT PRIMARY KEY, value INTEGER) STRICT;
             INSERT INTO files VALUES ({key}, '{DROP}', 1, x'0102', '{BLOB}', 100);
             INSERT INTO other VALUES ('version', 3);"
        );
        let data = data("files/z/y", BLOB, &tables);
        let ids = seed(data.path(), DROP, 100, 1000).unwrap();
        assert_eq!(ids[0], DROP);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1000);
        assert!(ids.iter().all(|id| id.len() == DROP.len()));
        let sql = "SELECT count(*) FROM files WHERE salt = x'0102' AND number = 1 AND key & 127 = 1 AND size = 100";
        assert_eq!(count(data.path(), sql), 1000);
        assert_eq!(count(data.path(), "SELECT count(*) FROM other"), 1);

        let db = Connection::open(data.path().join(CATALOG)).unwrap();
        let mut query = db.prepare("SELECT blob FROM files").unwrap();
        let blobs = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for blob in blobs {
            let blob = blob.unwrap();
            let path = data
                .path()
                .join("files")
                .join(&blob[..1])
                .join(&blob[1..2])
                .join(&blob);
            assert_eq!(fs::metadata(path).unwrap().len(), 100, "{blob}");
        }
    }

    #[test]
    fn a_blob_may_have_the_name_of_its_drop() {
        let tables = format!("CREATE TABLE file (id TEXT PRIMARY KEY); INSERT INTO file VALUES ('{DROP}');");
        let data = data("files", DROP, &tables);
        for id in seed(data.path(), DROP, 100, 10).unwrap() {
            assert!(data.path().join("files").join(id).is_file());
        }
    }

    #[test]
    fn no_tables_and_no_blob() {
        let data = data("files", BLOB, "");
        assert_eq!(seed(data.path(), DROP, 100, 3).unwrap().len(), 3);
        assert!(seed(data.path(), DROP, 101, 3).is_err());
    }
}
