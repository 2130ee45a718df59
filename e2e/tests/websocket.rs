//! WebSockets through the edge, with a real client and a real server on its two sides.

use truehop_e2e::{Truehop, WebSocketServer, missing};

#[track_caller]
fn edge(server: &WebSocketServer) -> Truehop {
    Truehop::start(&format!(
        "workers = 1\n[[route]]\npath = \"/\"\nproxy = [\"http://{}\"]\n",
        server.address()
    ))
}

#[test]
fn client_and_server_understand_each_other_without_an_edge() {
    if missing(&["websockets"]) {
        return;
    }
    let server = WebSocketServer::start();
    for name in ["echo", "closed", "lost"] {
        WebSocketServer::client(name, server.address(), "/");
    }
}

#[test]
fn text_and_bytes_pings_and_the_last_words_pass() {
    if missing(&["websockets"]) {
        return;
    }
    let server = WebSocketServer::start();
    let edge = edge(&server);
    WebSocketServer::client("echo", edge.address(), "/chat?room=1");
    server.wait_for("opened path=/chat?room=1 for=['127.0.0.1']");
    server.wait_for("closed code=4000 reason=well done");
    edge.wait_for_access(&["client=127.0.0.1", "path=/chat", "status=101"]);
}

#[test]
fn five_hundred_messages_at_full_speed_both_ways() {
    if missing(&["websockets"]) {
        return;
    }
    let server = WebSocketServer::start();
    let edge = edge(&server);
    WebSocketServer::client("soak", edge.address(), "/soak");
    server.wait_for("closed code=1000 reason=");
}

#[test]
fn a_server_may_close() {
    if missing(&["websockets"]) {
        return;
    }
    let server = WebSocketServer::start();
    let edge = edge(&server);
    WebSocketServer::client("closed", edge.address(), "/ending");
    server.wait_for("closed code=4001 reason=had enough");
}

#[test]
fn a_server_hears_of_a_client_that_is_lost() {
    if missing(&["websockets"]) {
        return;
    }
    let server = WebSocketServer::start();
    let edge = edge(&server);
    WebSocketServer::client("lost", edge.address(), "/lost");
    // 1006 is what an end without a last word is called.
    server.wait_for("closed code=1006 reason=");
    edge.wait_for_access(&["path=/lost", "status=101"]);
}

/// Not part of any tunnel: the same connection of the edge serves whoever comes next.
#[test]
fn tunnels_end_with_their_connections() {
    if missing(&["websockets"]) {
        return;
    }
    let server = WebSocketServer::start();
    let edge = edge(&server);
    for _ in 0..3 {
        WebSocketServer::client("echo", edge.address(), "/again");
        WebSocketServer::client("lost", edge.address(), "/again");
    }
    edge.wait_for_accesses(6, &["path=/again", "status=101"]);
}
