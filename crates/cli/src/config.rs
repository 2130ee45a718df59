//! The config file: from its text to what the edge and the drop are built of.
//!
//! 1. [`Config::read`]: TOML, then each section decoded on its own, so that one run tells the faults of all.
//! 2. [`Config::check`]: whether the values make sense together, asked of the crates that own them.
//!
//! Invariant: a [`Checked`] config has no fault, and nothing was bound, opened or made on the way to it.

mod fault;
mod hint;
mod policy;
mod section;

use std::cell::RefCell;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use etcetera::base_strategy::{BaseStrategy, choose_base_strategy};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use truehop::Policy;
use truehop_drop::DropConfig;
use truehop_edge::{
    AdminConfig, BadConfig, Edge, EdgeConfig, Key, LimitsConfig, ListenConfig, RouteConfig, Service,
    TimeoutsConfig,
};

pub(crate) use fault::Faults;
pub(crate) use policy::inline_policy;

use fault::Fault;
use section::{at, decode, decode_table, kind, place};

/// Read when no `--config` is given and it is there.
const DEFAULT_FILE: &str = "truehop.toml";
/// The name that stands in messages when there is no file.
const BUILT_IN: &str = "built-in defaults";
/// Where everything listens unless a person says otherwise: this machine only.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Larger files are no config files.
const LARGEST: u64 = 4 * 1024 * 1024;

/// More threads than that are a typo: each takes memory and a socket for every listener.
const MOST_WORKERS: usize = 1024;

const KEYS: [&str; 10] = [
    "listen",
    "workers",
    "client",
    "route",
    "drop",
    "admin",
    "timeouts",
    "limits",
    "forwarded",
    "access_log",
];

/// The content of a config file, with what is wrong with it.
#[derive(Debug)]
pub(crate) struct Config {
    name: String,
    text: String,
    faults: Vec<Fault>,
    /// Whether the sections that the edge reads could all be decoded.
    edge_is_sound: bool,
    listen: Vec<ListenConfig>,
    listen_is_overridden: bool,
    workers: usize,
    client: Policy,
    /// What the policy has read besides the config file.
    files: Vec<PathBuf>,
    routes: Vec<RouteConfig>,
    drop: DropConfig,
    /// Where the table `[drop]` stands, when it is written.
    drop_place: Option<Range<usize>>,
    admin: Option<AdminConfig>,
    timeouts: TimeoutsConfig,
    limits: LimitsConfig,
    forwarded: bool,
    access_log: bool,
}

impl Config {
    /// Reads `path`, or `./truehop.toml` if it is there, or nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no TOML. Faults of single sections are kept for later.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Faults> {
        let (name, text) = match path {
            Some(path) => (path.display().to_string(), read_text(path)),
            None => match read_text(Path::new(DEFAULT_FILE)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    (BUILT_IN.to_owned(), Ok(String::new()))
                }
                text => (DEFAULT_FILE.to_owned(), text),
            },
        };
        match text {
            Ok(text) => Self::parse(name, text),
            Err(error) => {
                let fault = Fault {
                    problem: format!("cannot be read: {error}"),
                    label: String::new(),
                    help: "--config names the config file; without one the built-in defaults apply"
                        .to_owned(),
                    span: None,
                };
                Err(Faults::new(&name, "", vec![fault]))
            }
        }
    }

    fn parse(name: String, text: String) -> Result<Self, Faults> {
        let table = match document(&text) {
            Ok(table) => table.into_inner(),
            Err(faults) => return Err(Faults::new(&name, &text, faults)),
        };
        let mut sections = Sections {
            table,
            faults: Vec::new(),
        };
        // Relative to the file, wherever the program was started.
        let directory = Path::new(&name).parent().unwrap_or(Path::new("")).to_owned();
        let files = RefCell::new(Vec::new());
        let load = |name: &str| {
            let path = directory.join(name);
            files.borrow_mut().push(path.clone());
            fs::read_to_string(path).map_err(|error| error.to_string())
        };
        let client = sections.client(&load);
        let drop_place = sections.table.get("drop").map(Spanned::span);
        let drop = sections.drop();
        let before = sections.faults.len();
        let listen = sections
            .value("listen")
            .unwrap_or_else(|| ListenConfig::parse(DEFAULT_LISTEN).into_iter().collect());
        let workers = sections.workers().unwrap_or_default();
        let routes = sections.routes().unwrap_or_else(default_routes);
        let admin = sections.table("admin");
        let timeouts = sections.table("timeouts").unwrap_or_default();
        let limits = sections.table("limits").unwrap_or_default();
        let forwarded = sections.value("forwarded").unwrap_or(false);
        let access_log = sections.value("access_log").unwrap_or(true);
        let edge_is_sound = sections.faults.len() == before;
        let faults = sections.finish();
        Ok(Self {
            name,
            text,
            faults,
            edge_is_sound,
            listen,
            listen_is_overridden: false,
            workers,
            client,
            files: files.into_inner(),
            routes,
            drop,
            drop_place,
            admin,
            timeouts,
            limits,
            forwarded,
            access_log,
        })
    }

    /// Listens here instead of where the file says.
    pub(crate) fn listen_on(&mut self, listen: Vec<ListenConfig>) {
        self.listen = listen;
        self.listen_is_overridden = true;
    }

    /// The policy, if the file as far as it can be judged alone has no fault.
    pub(crate) fn policy(self) -> Result<Policy, Faults> {
        match self.faults.is_empty() {
            true => Ok(self.client),
            false => Err(Faults::new(&self.name, &self.text, self.faults)),
        }
    }

    /// The table `[drop]`, if the file as far as it can be judged alone has no fault.
    pub(crate) fn into_drop(self) -> Result<DropConfig, Faults> {
        match self.faults.is_empty() {
            true => Ok(self.drop),
            false => Err(Faults::new(&self.name, &self.text, self.faults)),
        }
    }

    /// Asks the edge whether all of it can work: directories, certificates, routes.
    pub(crate) fn check(mut self) -> Result<Checked, Faults> {
        let mut routes = Vec::new();
        if self.edge_is_sound {
            match self.check_edge() {
                Ok(lines) => {
                    routes = lines;
                    self.faults.extend(self.drop_without_a_route());
                }
                Err(faults) => self.faults.extend(faults),
            }
        }
        match self.faults.is_empty() {
            true => Ok(Checked { config: self, routes }),
            false => Err(Faults::new(&self.name, &self.text, self.faults)),
        }
    }

    /// The edge tells one fault at a time; a route at fault is left out and the rest is asked again.
    fn check_edge(&self) -> Result<Vec<String>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut kept: Vec<usize> = (0..self.routes.len()).collect();
        loop {
            let routes = kept
                .iter()
                .filter_map(|&index| self.routes.get(index).cloned())
                .collect();
            let mut bad = match Edge::new(self.edge_config(routes), vec![("drop", Service::unmounted())]) {
                Ok(edge) if faults.is_empty() => return Ok(edge.routes()),
                Ok(_) => return Err(faults),
                Err(bad) => bad,
            };
            let left_out = match bad.path.as_mut_slice() {
                [Key::Name("route"), Key::Index(index), ..] if *index < kept.len() => {
                    *index = kept.remove(*index);
                    true
                }
                _ => false,
            };
            faults.push(self.fault(bad));
            if !left_out || kept.is_empty() {
                return Err(faults);
            }
        }
    }

    /// Settings that nothing obeys: somebody believes to have a drop, and has none.
    fn drop_without_a_route(&self) -> Option<Fault> {
        let span = self.drop_place.clone().filter(|_| !self.leads_to_the_drop())?;
        Some(Fault {
            problem: "no route leads to the drop, so the table [drop] has no effect".to_owned(),
            label: "not used".to_owned(),
            help: "add a [[route]] with to = \"drop\", or remove the table [drop]".to_owned(),
            span: Some(span),
        })
    }

    fn leads_to_the_drop(&self) -> bool {
        self.routes
            .iter()
            .any(|route| route.to.as_deref() == Some("drop"))
    }

    fn edge_config(&self, routes: Vec<RouteConfig>) -> EdgeConfig {
        EdgeConfig {
            listen: self.listen.clone(),
            workers: self.workers,
            client: self.client.clone(),
            routes,
            timeouts: self.timeouts,
            limits: self.limits,
            forwarded: self.forwarded,
            access_log: self.access_log,
            admin: self.admin,
        }
    }

    fn fault(&self, bad: BadConfig) -> Fault {
        let top = match bad.path.first() {
            Some(Key::Name(name)) => *name,
            _ => "",
        };
        // What comes from the command line or from a default does not stand in the file.
        let stands = document(&self.text).ok().filter(|table| {
            table.get_ref().contains_key(top) && !(top == "listen" && self.listen_is_overridden)
        });
        let span = stands.map(|table| {
            let span = table.span();
            place(&Spanned::new(span, DeValue::Table(table.into_inner())), &bad.path)
        });
        let written = span
            .clone()
            .and_then(|span| self.text.get(span))
            .unwrap_or_default();
        let help = match bad.path.last() {
            Some(Key::Name("to")) => hint::with_nearest(written.trim_matches(['"', '\'']), bad.help),
            _ => bad.help,
        };
        Fault {
            problem: bad.problem,
            label: "here".to_owned(),
            help,
            span,
        }
    }
}

/// A config that can work.
#[derive(Debug)]
pub(crate) struct Checked {
    config: Config,
    routes: Vec<String>,
}

impl Checked {
    /// The file's name, or what stands for it.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> &[ListenConfig] {
        &self.config.listen
    }

    /// How clients' addresses are learnt.
    pub(crate) fn client(&self) -> &Policy {
        &self.config.client
    }

    /// The files of trusted networks that the policy has read.
    pub(crate) fn policy_files(&self) -> &[PathBuf] {
        &self.config.files
    }

    /// The policy that the same config file makes of what those files say now.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or holds what is no rule.
    pub(crate) fn policy_again(&self) -> Result<Policy, Faults> {
        Config::parse(self.config.name.clone(), self.config.text.clone())?.policy()
    }

    /// The routes, one line each.
    pub(crate) fn routes(&self) -> &[String] {
        &self.routes
    }

    /// The listener for operators.
    pub(crate) fn admin(&self) -> Option<AdminConfig> {
        self.config.admin
    }

    /// The table `[drop]`, when some route leads to the drop.
    pub(crate) fn drop(&self) -> Option<&DropConfig> {
        self.config.leads_to_the_drop().then_some(&self.config.drop)
    }

    /// The edge, with the services that its routes name.
    ///
    /// # Errors
    ///
    /// What was checked has changed since, such as a directory that is gone.
    pub(crate) fn edge(&self, services: Vec<(&'static str, Service)>) -> Result<Edge, Faults> {
        let config = &self.config;
        Edge::new(config.edge_config(config.routes.clone()), services)
            .map_err(|bad| Faults::new(&config.name, &config.text, vec![config.fault(bad)]))
    }
}

/// Without any `[[route]]`: the drop, and beside it the page that shows what it sees.
fn default_routes() -> Vec<RouteConfig> {
    [("/whoami", "whoami"), ("/", "drop")]
        .map(|(path, to)| RouteConfig {
            path: Some(path.to_owned()),
            to: Some(to.to_owned()),
            ..RouteConfig::default()
        })
        .into()
}

fn read_text(path: &Path) -> io::Result<String> {
    use io::Read;

    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "larger than {} MiB",
            LARGEST / (1024 * 1024)
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|&&byte| byte == b'\n')
            .count();
        io::Error::other(format!("line {line} is not UTF-8 text"))
    })
}

/// Parses TOML.
fn document(text: &str) -> Result<Spanned<DeTable<'_>>, Vec<Fault>> {
    match DeTable::parse_recoverable(text) {
        (table, errors) if errors.is_empty() => Ok(table),
        (_, errors) => Err(errors.iter().map(syntax_fault).collect()),
    }
}

fn syntax_fault(error: &toml::de::Error) -> Fault {
    at(hint::reword(error.message()), error.span())
}

/// The sections that are not decoded yet, and the faults of those that are.
struct Sections<'i> {
    table: DeTable<'i>,
    faults: Vec<Fault>,
}

impl<'i> Sections<'i> {
    fn value<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.table.remove(key)?;
        self.keep(decode(key, value))
    }

    fn table<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.table.remove(key)?;
        self.keep(decode_table(key, value))
    }

    fn keep<T>(&mut self, decoded: Result<T, Vec<Fault>>) -> Option<T> {
        decoded.map_err(|faults| self.faults.extend(faults)).ok()
    }

    fn workers(&mut self) -> Option<usize> {
        let value = self.table.get("workers").cloned();
        let workers = self.value("workers")?;
        if workers <= MOST_WORKERS {
            return Some(workers);
        }
        if let Some(value) = value {
            let written = hint::Written {
                key: "workers",
                is_entry: false,
                value: value.get_ref(),
            };
            self.faults
                .push(at(hint::out_of_range("`workers`", written), Some(value.span())));
        }
        None
    }

    /// A file without `[client]` believes nobody.
    fn client(&mut self, load: &dyn Fn(&str) -> Result<String, String>) -> Policy {
        let value = self.table.remove("client");
        value
            .and_then(|value| self.keep(policy::policy(value, load)))
            .unwrap_or_else(Policy::peer)
    }

    fn drop(&mut self) -> DropConfig {
        let Some(value) = self.table.remove("drop") else {
            return DropConfig::default();
        };
        let Some(config) = self.keep(decode_table::<DropConfig>("drop", value.clone())) else {
            return DropConfig::default();
        };
        if let Err(bad) = config.check() {
            self.faults.push(Fault {
                problem: format!("{}: {}", bad.key, bad.problem),
                label: "here".to_owned(),
                help: bad.help,
                span: Some(place(&value, &[Key::Name(bad.key)])),
            });
        }
        config
    }

    fn routes(&mut self) -> Option<Vec<RouteConfig>> {
        let value = self.table.remove("route")?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(items) => {
                let routes = items
                    .into_iter()
                    .map(|item| self.keep(decode_table("[route]", item)));
                Some(routes.flatten().collect())
            }
            other => {
                self.faults.push(Fault {
                    problem: format!("`route` is a list of tables, not {}", kind(&other)),
                    label: "not a list".to_owned(),
                    help: "write [[route]], with two brackets on each side, once for each route".to_owned(),
                    span: Some(span),
                });
                None
            }
        }
    }

    /// What is left is not known.
    fn finish(mut self) -> Vec<Fault> {
        for key in self.table.keys() {
            self.faults
                .push(at(hint::unknown_key(key.get_ref(), &KEYS), Some(key.span())));
        }
        self.faults
    }
}

/// The data directory: what the command line says, what the file says, or the platform's place for data.
pub(crate) fn data_directory(argument: Option<PathBuf>, drop: &DropConfig) -> Option<PathBuf> {
    argument.or_else(|| drop.data.clone()).or_else(|| {
        choose_base_strategy()
            .ok()
            .map(|platform| platform.data_dir().join("truehop"))
    })
}

#[cfg(test)]
mod tests;
