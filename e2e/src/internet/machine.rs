//! One host of the picture.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::namespace::{Namespace, ip};
use super::{Family, Network};
use crate::http::Connection;
use crate::peers::find;
use crate::wire::Wire;

/// A host with addresses of its own, on which programs run and from which connections come.
#[derive(Debug)]
pub struct Machine {
    role: String,
    number: u8,
    networks: Vec<Network>,
    file: File,
    namespace: Namespace,
}

/// A way on which everything is lost. It is found again when this is dropped.
#[derive(Debug)]
pub struct Loss<'a> {
    here: &'a Machine,
    route: String,
}

impl Drop for Loss<'_> {
    fn drop(&mut self) {
        let found = ip(
            Some(self.here.namespace.name()),
            &format!("route del {}\n", self.route),
        );
        // Also on the way out of a panic, hence no complaint: the namespace goes, too.
        let _ = found;
    }
}

impl Machine {
    /// Connects a namespace to bridges.
    #[track_caller]
    pub(super) fn plug_in(
        namespace: Namespace,
        wires: &Namespace,
        role: &str,
        number: u8,
        networks: &[Network],
    ) -> Self {
        let (mut cables, mut own) = (String::new(), "link set lo up\n".to_owned());
        for network in networks {
            let (bridge, name) = (network.name(), namespace.name());
            let port = format!("{role}-{}", &bridge[..1]);
            cables += &format!(
                "link add {port} type veth peer name {bridge} netns {name}\n\
                 link set {port} master {bridge} up\n"
            );
            own += &format!("link set {bridge} up\n");
            for (family, length) in [(Family::V4, 24), (Family::V6, 64)] {
                let address = network.address(number, family);
                // An address that first asks whether it is free cannot be used for a second.
                let at_once = if family == Family::V6 { " nodad" } else { "" };
                own += &format!("addr add {address}/{length} dev {bridge}{at_once}\n");
                if let Some(beside) = network.beside() {
                    let beside = beside.address(0, family);
                    own += &format!("route add {beside}/{length} dev {bridge}\n");
                }
            }
        }
        ip(Some(wires.name()), &cables).unwrap();
        ip(Some(namespace.name()), &own).unwrap();
        Self {
            role: role.to_owned(),
            number,
            networks: networks.to_vec(),
            file: File::open(namespace.path()).unwrap(),
            namespace,
        }
    }

    /// What it is called in the picture.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The name of its namespace, as `ip netns` has it.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Its address, which for a host in both networks is the outer one: where clients connect to.
    pub fn address(&self, family: Family) -> IpAddr {
        self.networks[0].address(self.number, family)
    }

    /// Its address in the inner network: what the servers behind it see.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn inner(&self, family: Family) -> IpAddr {
        assert!(
            self.networks.contains(&Network::Inside),
            "{} is outside",
            self.role
        );
        Network::Inside.address(self.number, family)
    }

    /// Does something from here: every socket that `what` makes belongs to this host.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        // A thread of its own, because it is a thread that enters a namespace, and it never comes back.
        let done = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                what()
            });
            thread.join()
        });
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Connects to `server` from here.
    #[track_caller]
    pub fn connect(&self, server: SocketAddr) -> Connection {
        let connected = self.inside(|| TcpStream::connect(server));
        Connection::over(
            connected.unwrap_or_else(|error| panic!("{} cannot reach {server}: {error}", self.role)),
        )
    }

    /// Connects to `server` from here, for somebody whom nothing surprises.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn wire(&self, server: SocketAddr) -> io::Result<Wire> {
        let stream = self.inside(|| TcpStream::connect(server))?;
        Ok(Wire::over(Connection::over(stream)))
    }

    /// Loses whatever goes from here to `to`, until what this gives is dropped. What comes from there still comes.
    #[track_caller]
    pub fn lose_what_goes_to(&self, to: IpAddr) -> Loss<'_> {
        let host = if to.is_ipv4() { 32 } else { 128 };
        let route = format!("blackhole {to}/{host}");
        ip(Some(self.namespace.name()), &format!("route add {route}\n")).unwrap();
        Loss { here: self, route }
    }

    /// The same command, to be run here.
    #[track_caller]
    pub fn command(&self, program: &Command) -> Command {
        let mut command = Command::new(find("ip").expect("it made this namespace"));
        command
            .args(["netns", "exec", self.namespace.name()])
            .arg(program.get_program())
            .args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = program.get_current_dir() {
            command.current_dir(directory);
        }
        command
    }
}
