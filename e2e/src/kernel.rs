//! What the kernel knows of a connection between two processes of this machine, and none of them would say.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::eventually;

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

/// Waits until nothing moves any more on connections from or to these ports, and nothing will until somebody reads.
///
/// Time passes here, because nobody tells of what does not happen.
#[track_caller]
pub fn stand_still(ports: &[u16]) {
    // A busy machine stands still for a while, too.
    const STILL: Duration = Duration::from_secs(2);
    let mut last = (in_flight(ports), Instant::now());
    eventually("everything to stand still", || {
        let now = in_flight(ports);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > STILL).then_some(())
    });
}

/// Everything that the kernel tells of connections from or to these ports.
fn in_flight(ports: &[u16]) -> Vec<String> {
    let ports: Vec<String> = ports.iter().map(|port| format!(":{port:04X}")).collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [local, remote, state, queues] = columns.get(1..5)? else {
            return None;
        };
        let is_ours = ports
            .iter()
            .any(|port| local.ends_with(port) || remote.ends_with(port));
        is_ours.then(|| format!("{local} {remote} {state} {queues}"))
    });
    rows.collect()
}

/// The bytes of the address as one number of this machine, as that table writes it.
fn address(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} is in another table");
    };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
}
