//! Archives as the drop makes them: stored, with all sizes known before, also when they broke off.
//!
//! Strict: what a reader of archives would have to guess is an error.

/// A file in an archive, as far as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub size: usize,
    /// Where its bytes begin in the archive.
    pub offset: usize,
    /// The bytes that came, from its beginning.
    pub bytes: Vec<u8>,
}

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// The files of an archive of which `bytes` came, from its beginning.
///
/// # Errors
///
/// What is not as it should be.
pub fn entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(signature) = number(bytes, at, 4) {
        if signature != u64::from(LOCAL) {
            break;
        }
        // What broke off inside a header tells nothing.
        let Some((entry, end)) = local(bytes, at)? else {
            break;
        };
        entries.push(entry);
        at = end;
    }
    Ok(entries)
}

/// The files of a whole archive, whose directory must say the same as the files' own headers.
///
/// # Errors
///
/// What is not as it should be.
pub fn archive(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let entries = entries(bytes)?;
    let mut at = entries.last().map_or(0, |last| last.offset + last.size);
    let directory = at;
    for entry in &entries {
        let field = |offset, width| number(bytes, at + offset, width).ok_or("the directory broke off");
        let word = |offset| field(offset, 2);
        if field(0, 4)? != u64::from(CENTRAL) {
            return Err(format!("no directory entry for {}", entry.name));
        }
        let (name, extra, comment) = (word(28)? as usize, word(30)? as usize, word(32)? as usize);
        let said = bytes
            .get(at + 46..at + 46 + name)
            .ok_or("the directory broke off")?;
        let crc = field(16, 4)?;
        if said != entry.name.as_bytes() || word(10)? != 0 || crc != u64::from(crc32(&entry.bytes)) {
            return Err(format!("the directory disagrees about {}", entry.name));
        }
        at += 46 + name + extra + comment;
    }
    let length = at - directory;
    if number(bytes, at, 4) == Some(u64::from(END_64)) {
        let field = |offset| number(bytes, at + offset, 8).unwrap_or_default() as usize;
        if [field(32), field(40), field(48)] != [entries.len(), length, directory] {
            return Err("the large end disagrees".to_owned());
        }
        at += 12 + field(4);
        if number(bytes, at, 4) != Some(u64::from(LOCATOR_64)) {
            return Err("no locator of the large end".to_owned());
        }
        at += 20;
    } else if number(bytes, at + 10, 2) != Some(entries.len() as u64)
        || number(bytes, at + 12, 4) != Some(length as u64)
        || number(bytes, at + 16, 4) != Some(directory as u64)
    {
        return Err("the end disagrees".to_owned());
    }
    if number(bytes, at, 4) != Some(u64::from(END)) || bytes.len() != at + 22 {
        return Err(format!("no end at {at} of {} bytes", bytes.len()));
    }
    Ok(entries)
}

/// The file whose header begins at `at`, and where the next one begins.
fn local(bytes: &[u8], at: usize) -> Result<Option<(Entry, usize)>, String> {
    let (Some(flags), Some(method)) = (number(bytes, at + 6, 2), number(bytes, at + 8, 2)) else {
        return Ok(None);
    };
    if flags & 0x8 != 0 || method != 0 {
        return Err(format!(
            "flags {flags:#x} and method {method}: not stored with its size first"
        ));
    }
    let field = |offset, width| number(bytes, at + offset, width);
    let (Some(crc), Some(size), Some(name), Some(extra)) =
        (field(14, 4), field(22, 4), field(26, 2), field(28, 2))
    else {
        return Ok(None);
    };
    let (name, extra) = (name as usize, extra as usize);
    let offset = at + 30 + name + extra;
    if bytes.len() < offset {
        return Ok(None);
    }
    let name =
        String::from_utf8(bytes[at + 30..at + 30 + name].to_vec()).map_err(|_| "a name that is no UTF-8")?;
    let size = match size {
        0xffff_ffff => large_size(&bytes[at + 30 + name.len()..offset]).ok_or("no large size")?,
        size => size as usize,
    };
    let end = offset + size;
    let entry = Entry {
        name,
        size,
        offset,
        bytes: bytes[offset..end.min(bytes.len())].to_vec(),
    };
    if entry.bytes.len() == size && u64::from(crc32(&entry.bytes)) != crc {
        return Err(format!("{} has another checksum", entry.name));
    }
    Ok(Some((entry, end)))
}

/// The size in the extra field of a large file.
fn large_size(mut extra: &[u8]) -> Option<usize> {
    loop {
        let (kind, length) = (number(extra, 0, 2)?, number(extra, 2, 2)? as usize);
        if kind == 1 {
            return Some(number(extra, 4, 8)? as usize);
        }
        extra = extra.get(4 + length..)?;
    }
}

/// A number of `width` bytes, the least significant first.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + width)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// The checksum of ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (byte, entry) in (0u32..).zip(&mut table) {
        *entry = (0..8).fold(byte, |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        });
    }
    !bytes.iter().fold(!0, |crc, byte| {
        table[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ crc >> 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
