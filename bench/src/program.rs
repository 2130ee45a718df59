//! Other people's programs: where they are, and which version.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that the environment names, or else that of the search path.
pub fn find(name: &str, variable: &str) -> Option<PathBuf> {
    if env::var_os(variable).is_some_and(|path| !path.is_empty()) {
        return named_by(variable);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers hide from users in /usr/sbin.
    let mut places = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places.find_map(|place| Some(place.join(name)).filter(|path| path.is_file()))
}

/// The program that the environment names, if it is there.
pub fn named_by(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}

/// Name and version, as the program tells them when asked with `flag`.
pub fn version(path: &Path, flag: &str) -> String {
    let said = Command::new(path).arg(flag).output();
    let said = said.map_or_else(
        |error| error.to_string().into_bytes(),
        |said| [said.stdout, said.stderr].concat(),
    );
    in_short(&String::from_utf8_lossy(&said))
}

fn in_short(said: &str) -> String {
    let line = said.lines().next().unwrap_or("unknown");
    let line = line.trim_start_matches("nginx version: ").replace('/', " ");
    let mut words: Vec<_> = line.split(' ').filter(|word| *word != "version").collect();
    words.truncate(2);
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_words() {
        for (said, shown) in [
            ("nginx version: nginx/1.22.1\n", "nginx 1.22.1"),
            (
                "HAProxy version 2.6.12-1 2026/10/17 - https://haproxy.org/\n",
                "HAProxy 2.6.12-1",
            ),
            ("truehop 0.1.0\n", "truehop 0.1.0"),
            ("", "unknown"),
        ] {
            assert_eq!(in_short(said), shown);
        }
    }
}
