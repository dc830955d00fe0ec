//! A name with several addresses, over real sockets (RFC 8305).
//!
//! Names come from a hosts file of the test's own: this binary runs the test again in a mount namespace.

use core::{net::Ipv4Addr, net::SocketAddr, time::Duration};
use std::{
    net::TcpStream,
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

use karere::{
    Options,
    sync::{Client, Handler, SocketId},
};
use karere_broker::{Broker, Config, Server};
use socket2::{Domain, Socket, Type};

const INSIDE: &str = "KARERE_TEST_INSIDE_NAMESPACE";
const NAME: &str = "several.karere.test";
const SILENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const SERVING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Runs the test of this name again, with a hosts file of its own; false when this machine does not let it.
fn again_inside(test: &str) -> bool {
    let hosts = std::env::temp_dir().join(format!("karere-hosts-{}", std::process::id()));
    std::fs::write(&hosts, format!("{SILENT} {NAME}\n{SERVING} {NAME}\n")).expect("can be written");
    let script = r#"mount --bind "$HOSTS" /etc/hosts || exit 77; exec "$0" --exact "$1" --nocapture"#;
    let own = std::env::current_exe().expect("known");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .args([own.as_os_str(), test.as_ref()])
        .env("HOSTS", &hosts)
        .env(INSIDE, "yes")
        .status();
    let _ = std::fs::remove_file(hosts);
    match status {
        Ok(status) if status.success() => true,
        Ok(status) if status.code() == Some(101) => panic!("failed inside"),
        refused => {
            eprintln!("left out: no mount namespace here ({refused:?})");
            false
        }
    }
}

/// A listener that answers nobody: its queue is full, so the system drops what asks for a connection.
fn silent(at: SocketAddr) -> (Socket, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&at.into()).expect("a free port");
    listener.listen(0).expect("listens");
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_millis(300)) {
        queue.push(stream);
        assert!(queue.len() < 100, "it answers");
    }
    (listener, queue)
}

#[derive(Default)]
struct Sockets {
    now: Vec<SocketId>,
    most: usize,
}

struct Watching(Arc<Mutex<Sockets>>);

impl Handler for Watching {
    fn on_socket_open(&mut self, _: &Client, socket: SocketId) {
        let mut sockets = self.0.lock().expect("whole");
        sockets.now.push(socket);
        sockets.most = sockets.most.max(sockets.now.len());
    }

    fn on_socket_close(&mut self, _: &Client, socket: SocketId) {
        self.0.lock().expect("whole").now.retain(|open| *open != socket);
    }
}

#[test]
fn address_that_is_silent_does_not_hold_up_the_one_that_serves() {
    if std::env::var_os(INSIDE).is_none() {
        let _ = again_inside("side_by_side::address_that_is_silent_does_not_hold_up_the_one_that_serves");
        return;
    }
    let server = Server::options(Broker::new(Config::new())).tcp((SERVING, 0)).start().expect("a free port");
    let port = server.tcp_addr().expect("it listens on TCP").port();
    let _silent = silent((SILENT, port).into());
    let options = Options::tcp(NAME, port).client_id("one").connect_timeout(Duration::from_secs(30));
    let (client, mut driver) = Client::new(options).expect("legal");
    let sockets = Arc::<Mutex<Sockets>>::default();
    let begun = Instant::now();
    driver.connect(&mut Watching(Arc::clone(&sockets))).expect("over the second address");
    assert!(begun.elapsed() < Duration::from_secs(10), "the first one has 30 s to answer");
    assert_eq!(client.peer(), Some(karere::Address::Tcp((SERVING, port).into())));
    let sockets = sockets.lock().expect("whole");
    assert_eq!(sockets.most, 2, "side by side");
    assert_eq!(sockets.now.len(), 1, "the other one was closed");
}
