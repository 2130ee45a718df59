//! One test for each kind of message, and the shipped example.

use super::*;

const EXAMPLE: &str = include_str!("../../../../truehop.example.toml");

fn check(text: &str) -> Result<Checked, Faults> {
    Config::parse("t.toml".to_owned(), text.to_owned())?.check()
}

/// Asserts that the report of `text` holds each of `parts`, in their order.
fn refused(text: &str, parts: &[&str]) {
    let report = check(text).expect_err(text).to_string();
    let mut rest = report.as_str();
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => panic!("{part:?} is not (or not there) in\n{report}"),
        }
    }
    assert!(report.is_ascii(), "{report}");
}

#[test]
fn no_file_is_a_sound_config_with_the_drop_and_nobody_believed() {
    let config = check("").unwrap();
    assert_eq!(config.client().to_string(), Policy::peer().to_string());
    assert_eq!(config.routes(), ["/whoami -> whoami", "/ -> drop"]);
    assert!(config.drop().is_some() && config.admin().is_none());
}

#[test]
fn the_drop_is_not_opened_when_no_route_leads_to_it() {
    let config = check("[[route]]\nto = \"whoami\"\n").unwrap();
    assert!(config.drop().is_none());
}

#[test]
fn settings_of_a_drop_that_no_route_leads_to_are_refused() {
    refused(
        "[[route]]\nto = \"whoami\"\n[drop]\nowner = \"token\"\n",
        &[
            "no route leads to the drop",
            "[t.toml:3:1]",
            "add a [[route]] with to = \"drop\"",
            "t.toml: 1 error",
        ],
    );
    // A route that is wrong may have been meant; what follows from it is not told.
    refused(
        "[[route]]\nto = \"dorp\"\n[drop]\nowner = \"token\"\n",
        &["\"dorp\" is no service", "t.toml: 1 error"],
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_without_the_names_of_rusts_types() {
    for (text, problem, help) in [
        (
            "listen = \"127.0.0.1:0\"",
            "`listen` is a list, not a string",
            "write a list: listen = [\"127.0.0.1:0\"]",
        ),
        (
            "listen = [1]",
            "an entry of `listen` cannot be a number",
            "write an address such as",
        ),
        (
            "workers = -1",
            "`workers` cannot be -1",
            "from 0, which means one per core, to 1024",
        ),
        (
            "workers = 1025",
            "`workers` cannot be 1025",
            "from 0, which means one per core, to 1024",
        ),
        (
            "workers = \"two\"",
            "`workers` is a whole number, not a string",
            "to 1024",
        ),
        (
            "access_log = 1",
            "`access_log` is true or false, not a number",
            "write true or false",
        ),
        ("[drop]\nattempts = -1", "`attempts` cannot be -1", "from 1 on"),
        (
            "[drop]\nipv6_prefix = 300",
            "`ipv6_prefix` cannot be 300",
            "from 48 to 128",
        ),
        (
            "[drop]\nmax_size = 5",
            "`max_size` is a string, not a number",
            "\"64KiB\"",
        ),
        (
            "[drop]\nowner = 1",
            "`owner` is one word in quotes",
            "\"either\", \"token\" or \"address\"",
        ),
        (
            "[admin]\nlisten = \"9180\"",
            "\"9180\" is no address with a port",
            "\"127.0.0.1:9180\"",
        ),
        (
            "[admin]\nlisten = 9180",
            "`listen` is an address with a port",
            "\"127.0.0.1:9180\"",
        ),
        ("[admin]", "the key `listen` is missing", "add the key `listen`"),
        (
            "[client]\nfrom = 1",
            "`from` is one word in quotes",
            "\"peer\", \"header\"",
        ),
        (
            "[client]\nfrom = \"header\"\ntrusted = \"all\"",
            "`trusted` cannot be \"all\"",
            "\"any\"",
        ),
        (
            "[client]\nfrom = \"header\"\nhops = \"1\"",
            "`hops` is a whole number, not a string",
            "from 1 on",
        ),
        (
            "[[route]]\nproxy = \"http://127.0.0.1:1\"",
            "`proxy` is a list, not a string",
            "proxy = [\"http://127.0.0.1:1\"]",
        ),
        (
            "[[route]]\nbind = \"x\"",
            "\"x\" is no IP address",
            "\"127.0.0.1\"",
        ),
        (
            "[[route]]\nreply = \"x\"",
            "`reply` is a table, not a string",
            "reply = { ... }",
        ),
        (
            "[[route]]\nreply = { status = 99999 }",
            "`status` cannot be 99999",
            "from 200 to 599",
        ),
    ] {
        refused(text, &[problem, help]);
        let report = check(text).unwrap_err().to_string();
        for word in [
            "usize",
            "u32",
            "u16",
            "u8",
            "sequence",
            "struct",
            "integer",
            "invalid type",
            "Config",
        ] {
            assert!(!report.contains(word), "{word} in\n{report}");
        }
    }
    assert!(check("workers = 1024").is_ok());
}

#[test]
fn an_unknown_key_gets_its_nearest_spelling() {
    refused(
        "listen = [\"127.0.0.1:0\"]\n\n[client]\nfrom = \"x-forwarded-for\"\ntruste = [\"10.0.0.0/8\"]\n",
        &[
            "unknown key `truste`",
            "[t.toml:5:1]",
            "5 | truste = [\"10.0.0.0/8\"]",
            "^^^",
            "help: did you mean `trusted`? allowed here: `from`, `header`, `trusted`",
            "t.toml: 1 error",
        ],
    );
    refused(
        "[[routes]]\nto = \"drop\"\n",
        &["unknown key `routes`", "[t.toml:1:3]", "did you mean `route`?"],
    );
    refused(
        "[timeouts]\nhaeder = \"1s\"\n",
        &["[t.toml:2:1]", "did you mean `header`?"],
    );
    refused(
        "[drop]\nexpire = \"1d\"\n",
        &["[t.toml:2:1]", "did you mean `expires`?"],
    );
}

#[test]
fn an_unknown_word_gets_its_nearest_spelling() {
    refused(
        "[client]\nfrom = \"x-forward-for\"\n",
        &[
            "unknown value `x-forward-for`",
            "[t.toml:2:8]",
            "did you mean \"x-forwarded-for\"?",
        ],
    );
    refused(
        "[client]\nfrom = \"forwarded\"\n",
        &["from = \"forwarded\" needs the key trusted", "[t.toml:1:1]"],
    );
    refused(
        "[drop]\nowner = \"ip\"\n",
        &[
            "unknown value `ip`",
            "[t.toml:2:9]",
            "allowed here: \"either\", \"token\", \"address\"",
        ],
    );
}

#[test]
fn a_key_written_twice_is_an_error() {
    refused(
        "[client]\nfrom = \"peer\"\nfrom = \"peer\"\n",
        &[
            "this key stands here a second time",
            "[t.toml:3:1]",
            "keep one of them",
        ],
    );
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    refused("listen = [\"a\"\n\n[client]\n", &["[t.toml:"]);
    refused(
        "[client]\nfrom = peer\n",
        &["string values must be quoted", "[t.toml:2:8]"],
    );
}

#[test]
fn the_bad_network_itself_is_underlined() {
    refused(
        "[client]\nfrom = \"x-forwarded-for\"\ntrusted = [\"10.0.0.0/8\", \"10.0.0.0/33\", \"::1\"]\n",
        &[
            "\"10.0.0.0/33\" is no network: the prefix length must be 0 to 32",
            "[t.toml:3:26]",
            "      ^^^^^^|^^^^^^\n",
            "help: write a CIDR",
        ],
    );
}

#[test]
fn a_network_of_all_addresses_is_refused() {
    for rule in ["0.0.0.0/0", "::/0"] {
        let text = format!("[client]\nfrom = \"x-forwarded-for\"\ntrusted = [\"{rule}\"]\n");
        refused(
            &text,
            &[
                "trusts every address",
                "[t.toml:3:12]",
                "name the networks of your proxies",
            ],
        );
    }
}

#[test]
fn zero_hops_are_refused() {
    refused(
        "[client]\nfrom = \"x-forwarded-for\"\ntrusted = \"any\"\nhops = 0\n",
        &[
            "hops is 0, but must be at least 1",
            "[t.toml:4:8]",
            "1 is the rightmost entry",
        ],
    );
}

#[test]
fn from_must_be_written() {
    refused(
        "[client]\ntrusted = [\"10.0.0.1\"]\n",
        &[
            "the key `from` is missing",
            "[t.toml:1:1]",
            "say how clients' addresses are learnt",
        ],
    );
    refused(
        "client = \"peer\"\n",
        &["`client` is a table, not a string", "[t.toml:1:10]"],
    );
    refused("client = []\n", &["a policy without steps says nothing"]);
    refused(
        "client = [\"peer\"]\n",
        &["`client` is a table, not a string", "[t.toml:1:11]"],
    );
}

#[test]
fn a_policy_is_one_step_or_the_proxy_protocol_and_one_more() {
    let config = check("[[client]]\nfrom = \"header\"\nheader = \"X-Real-IP\"\ntrusted = \"any\"\n").unwrap();
    assert_eq!(config.client().reads(), Some("x-real-ip"));
    let first = "[[client]]\nfrom = \"proxy-protocol\"\ntrusted = [\"10.0.0.1\"]\n";
    let config = check(&format!(
        "{first}[[client]]\nfrom = \"forwarded\"\ntrusted = [\"10.0.0.2\"]\n"
    ))
    .unwrap();
    assert!(config.client().reads_proxy_protocol());
    assert_eq!(config.client().reads(), Some("forwarded"));
    refused(
        "[[client]]\nfrom = \"peer\"\n[[client]]\nfrom = \"peer\"\n",
        &["cannot be step 2 of a policy", "[t.toml:4:8]"],
    );
    refused(
        &format!("{first}[[client]]\nfrom = \"forwarded\"\ntrusted = [\"10.0.0.\"]\n"),
        &["\"10.0.0.\" is no network", "[t.toml:6:12]"],
    );
}

#[test]
fn a_route_must_lead_somewhere_and_to_one_place_only() {
    refused(
        "[[route]]\nto = \"dorp\"\n",
        &["\"dorp\" is no service", "[t.toml:2:6]", "did you mean \"drop\"?"],
    );
    refused(
        "[[route]]\npath = \"/\"\n\n[[route]]\npath = \"/a\"\nto = \"whoami\"\nproxy = [\"http://127.0.0.1:1\"]\n",
        &[
            "leads nowhere",
            "[t.toml:1:1]",
            "both to and proxy",
            "[t.toml:7:9]",
            "t.toml: 2 errors",
        ],
    );
    refused(
        "[route]\nto = \"drop\"\n",
        &[
            "`route` is a list of tables, not a table",
            "[t.toml:1:1]",
            "[[route]]",
        ],
    );
}

#[test]
fn what_files_name_must_be_there() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    refused(
        &format!("[[route]]\nfiles = \"{file}\"\n"),
        &["[t.toml:2:9]", "t.toml: 1 error"],
    );
    refused("[[route]]\nfiles = \"/nowhere\"\n", &["[t.toml:2:9]"]);
    refused(
        "listen = [\"127.0.0.1:0\", { address = \"127.0.0.1:0\", tls = { cert = \"/nowhere\", key = \"/nowhere\" } }]\n",
        &["/nowhere", "[t.toml:1:"],
    );
}

#[test]
fn durations_and_sizes_need_units() {
    refused(
        "[timeouts]\nheader = \"10\"\n[limits]\nbody = \"many\"\n",
        &[
            "\"10\" is no duration",
            "[t.toml:2:10]",
            "write a number with a unit",
            "\"many\" is no size",
            "[t.toml:4:8]",
        ],
    );
    refused(
        "[timeouts]\nheader = 10\n",
        &["`header` is a string, not a number", "[t.toml:2:10]"],
    );
    refused(
        "[drop]\nexpires = \"soon\"\n",
        &["\"soon\" is no duration", "[t.toml:2:11]"],
    );
    refused(
        "[drop]\nexpires = \"8d\"\n",
        &["expires: longer than max_expires", "[t.toml:2:11]"],
    );
}

#[test]
fn addresses_to_listen_on_are_checked() {
    refused(
        "listen = [\"8080\", \"127.0.0.1:0\", \"unix:a\"]\n",
        &[
            "\"8080\" is no address to listen on",
            "[t.toml:1:11]",
            "absolute path",
            "t.toml: 2 errors",
        ],
    );
    refused("listen = \"127.0.0.1:80\"\n", &["[t.toml:1:10]"]);
    refused("[admin]\nlisten = \"9180\"\n", &["[t.toml:2:10]"]);
}

#[test]
fn independent_faults_are_told_in_one_run_in_the_order_of_the_file() {
    refused(
        "worker = 1\n[drop]\nattempts = 0\n[client]\nfrom = \"header\"\n[[route]]\nto = \"nowhere\"\n[[route]]\n\
         path = \"/b\"\nfiles = \"/nowhere\"\n",
        &[
            "[t.toml:1:1]",
            "did you mean `workers`?",
            "[t.toml:3:12]",
            "needs the key header",
            "[t.toml:4:1]",
            "[t.toml:7:6]",
            "[t.toml:10:9]",
            "t.toml: 5 errors",
        ],
    );
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.toml");
    let told = |path: &Path| Config::read(Some(path)).unwrap_err().to_string();
    assert!(
        told(&path).contains("t.toml: cannot be read: No such file"),
        "{}",
        told(&path)
    );
    fs::write(&path, b"listen = []\nworkers = \xff\n").unwrap();
    assert!(
        told(&path).contains("line 2 is not UTF-8 text"),
        "{}",
        told(&path)
    );
    assert!(told(directory.path()).contains("cannot be read"));
}

#[test]
fn a_policy_of_the_command_line_may_be_lines_or_an_inline_table() {
    for text in [
        "from = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"10.0.0.0/8\"]",
        "from = \"header\", header = \"X-Real-IP\", trusted = [\"10.0.0.0/8\"]",
        " { from = \"header\", header = \"X-Real-IP\", trusted = [\"10.0.0.0/8\"] } ",
    ] {
        assert_eq!(
            inline_policy(text).unwrap().to_string(),
            "header x-real-ip, trusted 10.0.0.0/8"
        );
    }
    for (text, part) in [
        ("", "the key `from` is missing"),
        ("from = \"peers\"", "did you mean \"peer\"?"),
        ("from = \"peer\", trusted = \"any\"", "[--policy:1:"),
        ("from = ", "[--policy:1:"),
        ("{ from = ", "[--policy:1:"),
    ] {
        let report = inline_policy(text).unwrap_err().to_string();
        assert!(report.contains(part), "{text}: {report}");
    }
}

#[test]
fn the_example_is_right_and_says_what_holds_without_it() {
    let example = check(EXAMPLE).unwrap().config;
    let built_in = check("").unwrap().config;
    let shown = |mut config: Config| {
        // A default that depends on another key; what it comes to is compared.
        config.drop.expires = Some(config.drop.expires());
        format!(
            "{:?}",
            (
                (
                    config.listen,
                    config.workers,
                    config.client.to_string(),
                    config.routes,
                    config.drop
                ),
                (
                    config.admin,
                    config.timeouts,
                    config.limits,
                    config.forwarded,
                    config.access_log
                )
            )
        )
    };
    assert_eq!(shown(example), shown(built_in));
}

#[test]
fn the_example_names_every_key() {
    let mut written = Vec::new();
    let mut table = String::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            written.push((table.clone(), key.to_owned()));
        }
    }
    for key in KEYS {
        let is_a_table = written.iter().any(|(table, _)| table == key);
        assert!(
            is_a_table || written.contains(&(String::new(), key.to_owned())),
            "{key}"
        );
    }
    for table in ["client", "route", "drop", "admin", "timeouts", "limits"] {
        let header = if table == "route" {
            "[[route]]".to_owned()
        } else {
            format!("[{table}]")
        };
        let report = check(&format!("{header}\nzzzzzzzz = 1\n"))
            .unwrap_err()
            .to_string();
        // The report lists what is allowed.
        let (_, allowed) = report.split_once("allowed here: ").unwrap();
        for key in allowed.split('`').skip(1).step_by(2) {
            assert!(
                written.contains(&(table.to_owned(), key.to_owned())),
                "{table}.{key} is not in the example"
            );
        }
    }
}

#[test]
fn no_text_whatever_is_a_panic() {
    for cut in (0..EXAMPLE.len()).step_by(97) {
        let (head, tail) = EXAMPLE.split_at(cut);
        for spoiled in [
            head.to_owned(),
            tail.to_owned(),
            format!("{head}]{tail}"),
            format!("{head}\"{tail}"),
        ] {
            let _ = check(&spoiled).map_err(|faults| faults.to_string());
        }
    }
    for deep in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "[client]\nfrom".to_owned() + &".a".repeat(100_000) + " = 1",
    ] {
        assert!(!check(&deep).unwrap_err().to_string().is_empty());
    }
}

/// The alternatives of the example: runs of lines with `#` right before a key or a bracket.
fn alternatives() -> Vec<std::ops::Range<usize>> {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let is_one = |n: usize| {
        let text = lines.get(n).and_then(|line| line.strip_prefix('#'));
        text.is_some_and(|text| !text.is_empty() && !text.starts_with(' '))
    };
    let starts = (0..lines.len()).filter(|&n| is_one(n) && (n == 0 || !is_one(n - 1)));
    starts
        .map(|start| start..(start..).find(|&n| !is_one(n)).unwrap())
        .collect()
}

/// The example with one alternative in force: its lines stand in for those with the same keys of the same table.
fn with_alternative(chosen: &std::ops::Range<usize>) -> String {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.to_owned());
    let taken: Vec<String> = match lines[chosen.start].starts_with("#[") {
        true => Vec::new(),
        false => chosen.clone().filter_map(|n| key(&lines[n][1..])).collect(),
    };
    let header = |n: usize| (0..=n).rev().find(|&n| lines[n].starts_with('['));
    let kept = lines.iter().enumerate().filter_map(|(n, line)| {
        if chosen.contains(&n) {
            return Some(&line[1..]);
        }
        let replaced = header(n) == header(chosen.start) && key(line).is_some_and(|key| taken.contains(&key));
        (!replaced).then_some(*line)
    });
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_alternative_of_the_example_is_right() {
    let site = tempfile::tempdir().unwrap();
    let alternatives = alternatives();
    assert!(alternatives.len() >= 14, "{alternatives:?}");
    for chosen in alternatives {
        let text = with_alternative(&chosen).replace("/srv/www", &site.path().display().to_string());
        match check(&text) {
            Ok(_) => {}
            // No certificate is shipped; all but the files themselves is right.
            Err(faults) if text.contains("\nlisten = [\"0.0.0.0:80\", {") => {
                let report = faults.to_string();
                assert!(
                    report.contains("t.toml: 1 error") && report.contains("/etc/truehop/"),
                    "{report}"
                );
            }
            Err(faults) => panic!("line {}: {faults}", chosen.start + 1),
        }
    }
}
