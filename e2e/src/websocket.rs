//! WebSocket peers: server and client of the Python package `websockets`.

use std::net::SocketAddr;
use std::process::Command;

use crate::peers::find;
use crate::process::{Process, Stream};
use crate::workspace;

/// A server that sends back what it gets: `apps/websocket_server.py`.
#[derive(Debug)]
pub struct WebSocketServer {
    process: Process,
    address: SocketAddr,
}

impl WebSocketServer {
    /// Starts one on a free port of `127.0.0.1`.
    #[track_caller]
    pub fn start() -> Self {
        let process = Process::start("websocket_server.py", python("websocket_server.py"));
        let line = process.wait_for(Stream::Out, "its address", |line| {
            line.starts_with("listening on ")
        });
        let address = line.rsplit(' ').next().and_then(|address| address.parse().ok());
        Self {
            process,
            address: address.expect("an address"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has told this.
    #[track_caller]
    pub fn wait_for(&self, line: &str) {
        self.process.wait_for(Stream::Out, line, |said| said == line);
    }

    /// Connects as the client `apps/websocket_client.py` does by this name, through the server at `address`.
    ///
    /// # Panics
    /// When the client was not content.
    #[track_caller]
    pub fn client(name: &str, address: SocketAddr, path: &str) {
        let mut command = python("websocket_client.py");
        command.args([name, &format!("ws://{address}{path}")]);
        let exit = Process::start("websocket_client.py", command).wait();
        assert_eq!(exit.status, Some(0), "{name}: {}", exit.stderr);
    }
}

fn python(script: &str) -> Command {
    let websockets = find("websockets").expect("the test asked whether websockets is missing");
    let mut command = Command::new(websockets.with_file_name("python"));
    command
        .arg(workspace().join("e2e/apps").join(script))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
