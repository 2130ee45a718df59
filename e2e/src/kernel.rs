//! What the kernel knows of a connection between two processes of this machine, and none of them would say.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// What waits at one end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queues {
    /// Bytes that the other end's kernel has not taken yet.
    pub(crate) unsent: u64,
    /// Bytes that have come, and that the process has not read yet.
    pub(crate) unread: u64,
}

/// The queues of the TCP socket at `local`, connected to `remote`; `None` when there is none.
pub(crate) fn queues(local: SocketAddr, remote: SocketAddr) -> Option<Queues> {
    let wanted = [address(local), address(remote)];
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // `sl local_address rem_address st tx_queue:rx_queue ...`, all in hexadecimal digits (proc_pid_net(5)).
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if columns.get(1..3)? != wanted {
            return None;
        }
        let (unsent, unread) = columns.get(4)?.split_once(':')?;
        Some(Queues {
            unsent: u64::from_str_radix(unsent, 16).ok()?,
            unread: u64::from_str_radix(unread, 16).ok()?,
        })
    })
}

/// The bytes of the address as one number of this machine, as that table writes it.
fn address(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} is in another table");
    };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
}
