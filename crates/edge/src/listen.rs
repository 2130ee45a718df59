//! Sockets that wait for clients.
//!
//! Each worker has its own socket on the same address (`SO_REUSEPORT`), so that the kernel spreads connections and
//! workers share nothing. Unix sockets cannot do that; their one listener is shared by descriptor.
//!
//! Invariant: an address that another process uses is an error. `SO_REUSEPORT` alone would let two servers of one
//! user share it in silence, so the address is first bound without.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::config::ListenAddress;

const BACKLOG: i32 = 4096;

/// One listener, with a socket for each worker.
pub(crate) struct Listening {
    pub(crate) sockets: Vec<Socket>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) name: String,
    /// Removed when the listener is dropped.
    _path: Option<SocketPath>,
}

pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    pub(crate) fn bind(
        address: &ListenAddress,
        tls: Option<TlsAcceptor>,
        workers: usize,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError {
            address: address.to_string(),
            source,
        };
        match address {
            ListenAddress::Tcp(wanted) => {
                let sockets = bind_tcp(*wanted, workers).map_err(failed)?;
                let actual = sockets
                    .first()
                    .map_or(Ok(*wanted), TcpListener::local_addr)
                    .map_err(failed)?;
                let name = format!("{}://{actual}", if tls.is_some() { "https" } else { "http" });
                Ok(Self {
                    sockets: sockets.into_iter().map(Socket::Tcp).collect(),
                    tls,
                    name,
                    _path: None,
                })
            }
            ListenAddress::Unix(path) => {
                let first = bind_unix(path).map_err(failed)?;
                let guard = SocketPath::new(path);
                let mut sockets = Vec::with_capacity(workers);
                for _ in 1..workers {
                    sockets.push(Socket::Unix(first.try_clone().map_err(failed)?));
                }
                sockets.push(Socket::Unix(first));
                Ok(Self {
                    sockets,
                    tls,
                    name: address.to_string(),
                    _path: Some(guard),
                })
            }
        }
    }
}

fn bind_tcp(wanted: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    // Fails while anybody listens there. It must be closed before the real sockets can have the address.
    let probe = TcpListener::from(tcp_socket(wanted, false)?);
    let actual = probe.local_addr()?;
    drop(probe);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = tcp_socket(actual, true)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        sockets.push(listener);
    }
    Ok(sockets)
}

fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // `[::]` means IPv6, so that `0.0.0.0` can stand beside it.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    // A socket file that nobody listens on is left over from a process that was killed.
    let left_over = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if left_over {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The file of a Unix socket: which one it was, so that a successor's is not taken for it.
struct SocketPath {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl SocketPath {
    fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            file: identity(path),
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path)
        .ok()
        .map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            // It may be gone in this moment: then there is nothing to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {}", why(source))]
pub struct BindError {
    /// The address, as written in the configuration.
    pub address: String,
    /// What the kernel said.
    pub source: io::Error,
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address already in use; stop the other server or listen elsewhere".into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_an_error_even_between_servers_that_share() {
        let address = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let first = Listening::bind(&address, None, 2).unwrap();
        let Socket::Tcp(socket) = &first.sockets[0] else {
            panic!("tcp was asked for")
        };
        let taken = ListenAddress::Tcp(socket.local_addr().unwrap());
        let error = Listening::bind(&taken, None, 2).err().unwrap();
        assert!(error.to_string().contains("address already in use"), "{error}");
    }

    #[test]
    fn a_left_over_socket_file_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let address = ListenAddress::Unix(directory.path().join("socket"));
        drop(UnixListener::bind(directory.path().join("socket")).unwrap());
        let first = Listening::bind(&address, None, 2).unwrap();
        assert!(Listening::bind(&address, None, 1).is_err());
        drop(first);
        assert!(!directory.path().join("socket").exists());
    }
}
