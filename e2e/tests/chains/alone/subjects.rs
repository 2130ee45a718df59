//! The set-ups, in the words in which they are found in documentation, questions and answers.
//!
//! Invariant: each answers at port 80 of the first proxy's outer address, with `{"client": ...}`. Behind a proxy means
//! behind an nginx there that appends to X-Forwarded-For, with the application on the application server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use truehop_e2e::{Family, Internet, Machine, Process, binary, peer, workspace};

/// A set-up.
pub(super) struct Subject {
    /// What it is.
    pub(super) name: &'static str,
    /// What stands in its configuration.
    pub(super) words: &'static str,
    /// Whether it is known to be right here, instead of wrong.
    pub(super) is_right: bool,
    pub(super) start: fn(&Host<'_>) -> Vec<Process>,
}

/// Where it runs.
pub(super) struct Host<'a> {
    pub(super) net: &'a Internet,
    pub(super) dir: &'a Path,
    /// What stands in its configuration.
    pub(super) words: &'static str,
}

const FRONT: &str = "203.0.113.10";
const APP: &str = "192.168.0.42";

pub(super) const ALL: [Subject; 21] = [
    Subject {
        name: "nginx, realip, recursive, every proxy trusted",
        words: "set_real_ip_from 0.0.0.0/0; real_ip_header X-Forwarded-For; real_ip_recursive on;",
        is_right: false,
        start: nginx_answers,
    },
    Subject {
        name: "nginx, realip, not recursive, every proxy trusted",
        words: "set_real_ip_from 0.0.0.0/0; real_ip_header X-Forwarded-For;",
        is_right: false,
        start: nginx_answers,
    },
    Subject {
        name: "nginx, realip by X-Real-IP, every proxy trusted",
        words: "set_real_ip_from 0.0.0.0/0; real_ip_header X-Real-IP;",
        is_right: false,
        start: nginx_answers,
    },
    Subject {
        name: "nginx, PROXY protocol of everybody",
        words: "listen 80 proxy_protocol; set_real_ip_from 0.0.0.0/0; real_ip_header proxy_protocol;",
        is_right: false,
        start: nginx_answers,
    },
    Subject {
        name: "X-Real-IP set to the list by nginx, first entry taken",
        words: "proxy_set_header X-Real-IP $proxy_add_x_forwarded_for;",
        is_right: false,
        start: |host| behind_nginx(host, "x-real-ip"),
    },
    Subject {
        name: "leftmost entry of X-Forwarded-For, behind nginx",
        words: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        is_right: false,
        start: |host| behind_nginx(host, "leftmost"),
    },
    Subject {
        name: "several headers in turn, behind nginx",
        words: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        is_right: false,
        start: |host| behind_nginx(host, "in-turn"),
    },
    Subject {
        name: "first line of X-Forwarded-For, behind HAProxy",
        words: "option forwardfor",
        is_right: false,
        start: |host| {
            let backend = format!(
                "    {}\n    default_backend app\nbackend app\n    server app {APP}:9000\n",
                host.words
            );
            vec![naive(host, "first-line"), haproxy(host, "", &backend)]
        },
    },
    Subject {
        name: "HAProxy, source set from X-Forwarded-For",
        words: "http-request set-src hdr(x-forwarded-for)",
        is_right: false,
        start: |host| {
            vec![haproxy(
                host,
                "",
                &format!("    {}\n{HAPROXY_ANSWERS}", host.words),
            )]
        },
    },
    Subject {
        name: "HAProxy, PROXY protocol of everybody",
        words: "bind :80 accept-proxy",
        is_right: false,
        start: |host| vec![haproxy(host, " accept-proxy", HAPROXY_ANSWERS)],
    },
    Subject {
        name: "Apache httpd, mod_remoteip without a list of proxies",
        words: "RemoteIPHeader X-Forwarded-For",
        is_right: false,
        start: apache,
    },
    Subject {
        name: "Apache httpd, PROXY protocol of everybody",
        words: "RemoteIPProxyProtocol On",
        is_right: false,
        start: apache,
    },
    Subject {
        name: "Caddy, every proxy trusted, leftmost entry taken behind it",
        words: "trusted_proxies 0.0.0.0/0 ::/0",
        is_right: false,
        start: |host| {
            let site = format!("reverse_proxy {APP}:9000 {{\n\t\t{}\n\t}}", host.words);
            vec![naive(host, "leftmost"), caddy(host, &site)]
        },
    },
    Subject {
        name: "Caddy, remote_ip with forwarded",
        words: "remote_ip forwarded 203.0.113.96",
        is_right: false,
        start: |host| {
            let site = format!(
                "@forged {}\n\trespond @forged `{{\"client\":\"203.0.113.96\"}}`\n\t\
                 respond `{{\"client\":\"{{http.request.remote.host}}\"}}`",
                host.words
            );
            vec![caddy(host, &site)]
        },
    },
    Subject {
        name: "Flask, ProxyFix, reached without its proxy",
        words: "ProxyFix(app, x_for=1)",
        is_right: false,
        start: |host| vec![gunicorn(&host.net.first, FRONT, 80, 1, &[])],
    },
    Subject {
        name: "Flask, ProxyFix, one proxy more than there is, behind nginx",
        words: "ProxyFix(app, x_for=2)",
        is_right: false,
        start: |host| {
            let app = gunicorn(&host.net.app, APP, 9000, 2, &[]);
            vec![
                app,
                appending(
                    host,
                    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                ),
            ]
        },
    },
    Subject {
        name: "gunicorn, PROXY protocol of everybody",
        words: "--proxy-protocol auto --proxy-allow-from '*'",
        is_right: false,
        start: |host| {
            let options = ["--proxy-protocol", "auto", "--proxy-allow-from", "*"];
            vec![gunicorn(&host.net.first, FRONT, 80, 0, &options)]
        },
    },
    Subject {
        name: "uvicorn, every proxy trusted, behind nginx",
        words: "--proxy-headers --forwarded-allow-ips '*'",
        is_right: false,
        start: |host| {
            let mut uvicorn = peer("uvicorn");
            uvicorn.args([
                "whoami_asgi:app",
                "--host",
                APP,
                "--port",
                "9000",
                "--log-level",
                "warning",
            ]);
            uvicorn.args(["--proxy-headers", "--forwarded-allow-ips", "*"]);
            uvicorn.arg("--app-dir").arg(workspace().join("e2e/apps"));
            uvicorn.env("PYTHONDONTWRITEBYTECODE", "1");
            let app = start(&host.net.app, "uvicorn", &uvicorn);
            vec![
                app,
                appending(
                    host,
                    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                ),
            ]
        },
    },
    Subject {
        name: "Truehop, whoever connects trusted",
        words: "from = \"x-forwarded-for\", trusted = \"any\", hops = 1",
        is_right: false,
        start: |host| {
            vec![truehop(
                host,
                FRONT,
                "from = \"x-forwarded-for\"\ntrusted = \"any\"\nhops = 1",
                &host.net.first,
                80,
            )]
        },
    },
    Subject {
        name: "Truehop, reached without its proxy",
        words: "from = \"x-forwarded-for\", trusted = [\"192.168.0.20\"]",
        is_right: true,
        start: |host| {
            let policy = "from = \"x-forwarded-for\"\ntrusted = [\"192.168.0.20\"]";
            vec![truehop(host, FRONT, policy, &host.net.first, 80)]
        },
    },
    Subject {
        name: "Truehop, behind nginx",
        words: "from = \"x-forwarded-for\", trusted = [\"192.168.0.10\"]",
        is_right: true,
        start: |host| {
            let policy = "from = \"x-forwarded-for\"\ntrusted = [\"192.168.0.10\"]";
            let app = truehop(host, APP, policy, &host.net.app, 9000);
            vec![
                app,
                appending(
                    host,
                    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                ),
            ]
        },
    },
];

const HAPROXY_ANSWERS: &str =
    "    http-request return status 200 content-type application/json lf-string '{\"client\":\"%[src]\"}'\n";

fn start(machine: &Machine, name: &str, command: &Command) -> Process {
    Process::start(name, machine.command(command))
}

/// nginx with these blocks of a server.
fn nginx(host: &Host<'_>, listen: &str, server: &str) -> Process {
    let dir = host.dir.display();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {dir}/{part};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process off;\nerror_log stderr error;\npid {dir}/pid;\nevents {{}}\n\
         http {{\naccess_log off;\n{temp}server {{\nlisten {listen};\n{server}\n}}\n}}\n"
    );
    let file = host.dir.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut nginx = peer("nginx");
    nginx
        .arg("-p")
        .arg(host.dir)
        .args(["-e", "stderr", "-c"])
        .arg(file);
    start(&host.net.first, "nginx", &nginx)
}

/// nginx that answers itself.
fn nginx_answers(host: &Host<'_>) -> Vec<Process> {
    let answer = "default_type application/json;\nreturn 200 '{\"client\":\"$remote_addr\"}';";
    let (listen, words) = match host.words.strip_prefix("listen 80 proxy_protocol; ") {
        Some(words) => (format!("{FRONT}:80 proxy_protocol"), words),
        None => (format!("{FRONT}:80"), host.words),
    };
    vec![nginx(
        host,
        &listen,
        &format!("{words}\nlocation / {{\n{answer}\n}}"),
    )]
}

/// nginx that passes everything on to the application server.
fn appending(host: &Host<'_>, words: &str) -> Process {
    let location = format!("location / {{\nproxy_pass http://{APP}:9000;\n{words}\n}}");
    nginx(host, &format!("{FRONT}:80"), &location)
}

fn behind_nginx(host: &Host<'_>, how: &str) -> Vec<Process> {
    vec![naive(host, how), appending(host, host.words)]
}

fn naive(host: &Host<'_>, how: &str) -> Process {
    let mut node = peer("node");
    node.arg(workspace().join("e2e/apps/naive.js"))
        .args([APP, "9000"])
        .env("HOW", how);
    start(&host.net.app, "node", &node)
}

fn haproxy(host: &Host<'_>, option: &str, frontend: &str) -> Process {
    let file = host.dir.join("haproxy.cfg");
    let config = format!(
        "global\n    nbthread 1\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    \
         timeout server 30s\nfrontend http\n    bind {FRONT}:80{option}\n{frontend}"
    );
    fs::write(&file, config).unwrap();
    let mut haproxy = peer("haproxy");
    haproxy.args(["-db", "-f"]).arg(file);
    start(&host.net.first, "haproxy", &haproxy)
}

/// Apache that answers itself, with what a page of server-side includes knows.
fn apache(host: &Host<'_>) -> Vec<Process> {
    let httpd = peer("apache2");
    let modules = Path::new(httpd.get_program()).with_file_name("../lib/apache2/modules");
    let load = ["mpm_event", "authz_core", "include", "remoteip"]
        .map(|name| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display()))
        .concat();
    let pages = host.dir.join("pages");
    fs::create_dir(&pages).unwrap();
    // It does not stay root.
    fs::set_permissions(host.dir, Permissions::from_mode(0o755)).unwrap();
    fs::write(
        pages.join("whoami"),
        "{\"client\":\"<!--#echo var=\"REMOTE_ADDR\" -->\"}",
    )
    .unwrap();
    let config = format!(
        "ServerRoot {0}\nServerName test\nDefaultRuntimeDir {0}\nPidFile {0}/pid\nErrorLog {0}/log\n\
         User www-data\nGroup www-data\n{load}{1}\nListen {FRONT}:80\nDocumentRoot {2}\n\
         <Directory {2}>\n    Options +Includes\n    SetOutputFilter INCLUDES\n    ForceType application/json\n\
         </Directory>\n",
        host.dir.display(),
        host.words,
        pages.display()
    );
    let file = host.dir.join("apache.conf");
    fs::write(&file, config).unwrap();
    let mut httpd = httpd;
    httpd.arg("-X").arg("-f").arg(file);
    vec![start(&host.net.first, "apache2", &httpd)]
}

fn caddy(host: &Host<'_>, site: &str) -> Process {
    let file = host.dir.join("Caddyfile");
    let config =
        format!("{{\n\tadmin off\n\tauto_https off\n}}\nhttp://:80 {{\n\tbind {FRONT}\n\t{site}\n}}\n");
    fs::write(&file, config).unwrap();
    let mut caddy = peer("caddy");
    caddy
        .env("HOME", host.dir)
        .env("XDG_DATA_HOME", host.dir)
        .env("XDG_CONFIG_HOME", host.dir);
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file);
    start(&host.net.first, "caddy", &caddy)
}

/// gunicorn with Flask, told of so many proxies. Its worker notices that its arbiter was killed.
fn gunicorn(machine: &Machine, ip: &str, port: u16, proxies: usize, options: &[&str]) -> Process {
    let mut gunicorn = peer("gunicorn");
    gunicorn.arg("--bind").arg(format!("{ip}:{port}")).args(options);
    gunicorn.args([
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--no-control-socket",
    ]);
    gunicorn.arg("--chdir").arg(workspace().join("e2e/apps"));
    gunicorn
        .arg("whoami:app")
        .env("PROXIES", proxies.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    start(machine, "gunicorn", &gunicorn)
}

fn truehop(host: &Host<'_>, ip: &str, policy: &str, machine: &Machine, port: u16) -> Process {
    let file = host.dir.join("truehop.toml");
    let config = format!(
        "workers = 1\naccess_log = false\nlisten = [\"{ip}:{port}\"]\n[client]\n{policy}\n\
         [[route]]\npath = \"/\"\nto = \"whoami\"\n"
    );
    fs::write(&file, config).unwrap();
    let mut truehop = binary();
    truehop.arg("run").arg("--config").arg(file);
    start(machine, "truehop", &truehop)
}

/// The addresses are written out above, where configurations need them.
pub(super) fn are_as_written(net: &Internet) -> bool {
    net.first.address(Family::V4).to_string() == FRONT && net.app.inner(Family::V4).to_string() == APP
}
