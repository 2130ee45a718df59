//! Every recipe's policy builds and is free of lints; every proxy's part is accepted by that proxy, when it is installed.
#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use truehop::{LintContext, NamedSet, Policy, PolicyConfig, recipe};

fn policy(text: &str) -> Policy {
    let mut file: toml::Table = text.parse().unwrap();
    let steps = match file.remove("client").unwrap() {
        toml::Value::Array(steps) => steps,
        step => vec![step],
    };
    assert!(file.is_empty(), "{file:?}");
    PolicyConfig::build_steps(steps.into_iter().map(|step| step.try_into().unwrap())).unwrap()
}

#[test]
fn every_policy_builds_and_has_no_lint_on_the_day_of_its_snapshot() {
    for recipe in recipe::ALL {
        let policy = policy(recipe.policy);
        let context = LintContext::new().public_listener(true);
        let context = match NamedSet::find("cloudflare").unwrap().taken() {
            Some(today) => context.today(today),
            None => context,
        };
        assert_eq!(policy.lint_in(&context), [], "{}", recipe.name);
        assert!(
            policy.reads().is_some() || policy.reads_proxy_protocol(),
            "{}",
            recipe.name
        );
    }
}

#[test]
fn names_are_sorted_and_everything_is_told() {
    assert!(recipe::ALL.is_sorted_by(|one, other| one.name < other.name));
    for recipe in recipe::ALL {
        assert_eq!(recipe::find(recipe.name), Some(recipe));
        assert!(
            recipe.proxy_config.ends_with('\n') && recipe.policy.ends_with('\n'),
            "{}",
            recipe.name
        );
        assert!(
            !recipe.title.is_empty() && !recipe.notes.is_empty(),
            "{}",
            recipe.name
        );
    }
    assert_eq!(recipe::find("nobody"), None);
}

#[test]
fn nginx_accepts_its_recipes() {
    let Some(nginx) = find("nginx") else { return };
    for recipe in of("nginx") {
        let at = directory(recipe.name);
        // A socket of its own: the test needs no right to port 80, and disturbs nobody there.
        let server = recipe
            .proxy_config
            .replace("listen 80", &format!("listen unix:{}/socket", at.display()));
        assert_ne!(server, recipe.proxy_config, "{}", recipe.name);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|part| format!("{part}_temp_path {}/{part};\n", at.display()))
            .concat();
        let config = format!(
            "pid {}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n",
            at.display()
        );
        let file = write(&at, "nginx.conf", &config);
        accepts(
            Command::new(&nginx)
                .arg("-p")
                .arg(&at)
                .arg("-e")
                .arg("stderr")
                .arg("-t")
                .arg("-c")
                .arg(file),
        );
    }
}

#[test]
fn haproxy_accepts_its_recipes() {
    let Some(haproxy) = find("haproxy") else { return };
    for recipe in of("haproxy") {
        let at = directory(recipe.name);
        let timeouts = "defaults\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\n";
        let file = write(&at, "haproxy.cfg", &format!("{timeouts}{}", recipe.proxy_config));
        accepts(Command::new(&haproxy).arg("-c").arg("-f").arg(file));
    }
}

#[test]
fn caddy_accepts_its_recipes() {
    let Some(caddy) = find("caddy") else { return };
    for recipe in of("caddy") {
        let at = directory(recipe.name);
        let file = write(&at, "Caddyfile", recipe.proxy_config);
        let mut command = Command::new(&caddy);
        command
            .env("HOME", &at)
            .arg("validate")
            .arg("--adapter")
            .arg("caddyfile");
        command.arg("--config").arg(file);
        // Debian's is older, and knows everything in it but this.
        let module = "caddy.listeners.proxy_protocol";
        let modules = Command::new(&caddy).arg("list-modules").output().unwrap().stdout;
        let has_module = String::from_utf8_lossy(&modules).contains(module);
        match recipe.proxy_config.contains("proxy_protocol") && !has_module {
            true => refuses(&mut command, module),
            false => accepts(&mut command),
        }
    }
}

#[test]
fn apache_accepts_its_recipes() {
    let Some(apache) = find("apache2") else { return };
    let modules = apache.with_file_name("../lib/apache2/modules");
    if !modules.is_dir() {
        return missing("modules of apache2");
    }
    for recipe in of("apache") {
        let at = directory(recipe.name);
        let load = [
            "mpm_event",
            "authz_core",
            "headers",
            "proxy",
            "proxy_http",
            "remoteip",
        ]
        .map(|name| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display()))
        .concat();
        let config = format!(
            "ServerRoot {0}\nServerName test\nDefaultRuntimeDir {0}\nPidFile {0}/pid\nErrorLog {0}/log\n{load}{1}",
            at.display(),
            recipe.proxy_config
        );
        let file = write(&at, "apache.conf", &config);
        accepts(Command::new(&apache).arg("-t").arg("-f").arg(file));
    }
}

/// The recipes of one program: its name, and those that begin with it.
fn of(program: &str) -> impl Iterator<Item = &'static recipe::Recipe> {
    let mine = move |recipe: &&recipe::Recipe| recipe.name.split('-').next() == Some(program);
    assert!(recipe::ALL.iter().any(|recipe| mine(&recipe)));
    recipe::ALL.iter().filter(mine)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers live where a user's PATH does not look.
    let found = env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        missing(program);
    }
    found
}

/// A program that is missing is told by name; in CI it must be there.
fn missing(program: &str) {
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{program} is missing");
    // Not by eprintln: what a test that passes prints so is never seen.
    let mut stderr = io::stderr();
    writeln!(stderr, "skipped: {program} is missing").unwrap();
}

fn directory(name: &str) -> PathBuf {
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes").join(name);
    fs::create_dir_all(&at).unwrap();
    at
}

fn write(at: &Path, name: &str, text: &str) -> PathBuf {
    let file = at.join(name);
    fs::write(&file, text).unwrap();
    file
}

fn accepts(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {told}{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn refuses(command: &mut Command, why: &str) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains(why),
        "{command:?}: {told}"
    );
}
