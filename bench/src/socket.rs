//! Sockets that never block, on loopback only.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::{Errno, Result};
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, listen,
    socket_with, sockopt,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Listens where the kernel chooses.
pub fn listen_tcp() -> Result<(OwnedFd, SocketAddr)> {
    let socket = stream(AddressFamily::INET)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listen(&socket, BACKLOG)?;
    let address = net::getsockname(&socket)?.try_into()?;
    Ok((socket, address))
}

pub fn listen_unix(path: &Path) -> Result<OwnedFd> {
    let socket = stream(AddressFamily::UNIX)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A connection that waits, or nothing.
pub fn accept(listener: impl AsFd) -> Result<Option<OwnedFd>> {
    may_wait(net::accept_with(
        listener,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
    ))
}

/// Begins to connect; what is sent before that has happened waits.
pub fn connect(address: SocketAddr) -> Result<OwnedFd> {
    connect_from(Ipv4Addr::UNSPECIFIED, address)
}

/// The same from an address of this machine; unspecified is the kernel's choice.
pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Result<OwnedFd> {
    let socket = stream(AddressFamily::INET)?;
    send_at_once(&socket)?;
    if !source.is_unspecified() {
        bind(&socket, &SocketAddr::from((source, 0)))?;
    }
    match net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Nagle's algorithm would hold the end of a body back.
pub fn send_at_once(socket: impl AsFd) -> Result<()> {
    sockopt::set_tcp_nodelay(socket, true)
}

/// How many bytes were sent; nothing when that would block.
pub fn send(socket: impl AsFd, bytes: &[u8]) -> Result<Option<usize>> {
    may_wait(net::send(socket, bytes, SendFlags::NOSIGNAL))
}

/// How many bytes were received, 0 at the end; nothing when that would block.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Option<usize>> {
    may_wait(net::recv(socket, buffer, RecvFlags::empty()).map(|(_, length)| length))
}

/// The same without copying what came, on TCP sockets; no more than fits into `buffer`.
pub fn discard(socket: impl AsFd, buffer: &mut [u8]) -> Result<Option<usize>> {
    may_wait(net::recv(socket, buffer, RecvFlags::TRUNC).map(|(_, length)| length))
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn stream(family: AddressFamily) -> Result<OwnedFd> {
    socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

fn may_wait<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error),
    }
}
