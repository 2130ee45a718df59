//! `bench/RESULTS.md`: a section for each benchmark, between marks.
//!
//! Invariant: writing one section changes no byte of the others, nor of what people write around them.

use std::path::Path;
use std::{fs, io};

/// Puts `text` where the section `name` is, or at the end of the file if it has none yet.
pub fn write_section(file: &Path, name: &str, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", file.display());
    let before = match fs::read_to_string(file) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "# Results\n".to_owned(),
        Err(error) => return Err(failed(error)),
    };
    let after = replaced(&before, name, text).map_err(|why| format!("{}: {why}", file.display()))?;
    fs::write(file, after).map_err(failed)
}

fn replaced(file: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- begin: {name} -->"), format!("<!-- end: {name} -->"));
    let section = format!("{begin}\n\n{}\n\n{end}", text.trim());
    match (file.find(&begin), file.find(&end)) {
        (None, None) => Ok(format!("{}\n\n{section}\n", file.trim_end())),
        (Some(from), Some(to)) if from < to => {
            Ok(format!("{}{section}{}", &file[..from], &file[to + end.len()..]))
        }
        _ => Err(format!("the marks {begin} and {end} do not match")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_its_neighbours_stay() {
        let file = replaced("# Results\n", "a", "one").unwrap();
        let file = replaced(&file, "b", "two\n").unwrap() + "\na remark\n";
        let file = replaced(&file, "a", "three").unwrap();
        let expected = "# Results\n\n<!-- begin: a -->\n\nthree\n\n<!-- end: a -->\n\n\
                        <!-- begin: b -->\n\ntwo\n\n<!-- end: b -->\n\na remark\n";
        assert_eq!(file, expected);
    }

    #[test]
    fn half_a_section_is_left_alone() {
        assert!(replaced("<!-- begin: a -->\ntext", "a", "one").is_err());
        assert!(replaced("<!-- end: a --><!-- begin: a -->", "a", "one").is_err());
    }
}
