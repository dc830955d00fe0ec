//! One peer, one client in a process of its own, and what became of them.

use core::{net::SocketAddr, time::Duration};
use std::{
    fs, io,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use karere_broker::{Broker, Config, Server};

use crate::{
    child,
    peer::{Deed, Kind, Meeting, Peer},
};

/// How often a peer misbehaves before it serves: the second wait tells whether waits grow.
const TIMES: usize = 2;

/// For a handshake, where it is to run out.
const SHORT: Duration = Duration::from_millis(600);

/// For a handshake that is to end in another way.
const ENOUGH: Duration = Duration::from_secs(6);

/// What an end may take beyond its limit on a machine that has other things to do.
const LATENESS: Duration = Duration::from_secs(8);

/// A case to be.
pub(crate) struct Case {
    name: String,
    kind: Kind,
    deed: Deed,
    times: usize,
    limit: Duration,
    leaves: bool,
}

impl Case {
    pub(crate) fn new(
        name: &str,
        kind: Kind,
        deed: impl Fn(&mut Meeting) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let name = format!("{name}, {kind:?}");
        Self { name, kind, deed: Arc::new(deed), times: TIMES, limit: ENOUGH, leaves: false }
    }

    /// The deed is done on every connection.
    pub(crate) fn always(mut self) -> Self {
        self.times = usize::MAX;
        self
    }

    /// The time for handshakes runs out.
    pub(crate) fn short_of_time(mut self) -> Self {
        self.limit = SHORT;
        self
    }

    /// The client takes its leave as soon as it is connected.
    pub(crate) fn leaving(mut self) -> Self {
        self.leaves = true;
        self
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn run(&self) -> Outcome {
        let lab = Lab::start();
        let upstream = lab.address(self.kind);
        let peer = Peer::start(self.kind, upstream, self.times, Arc::clone(&self.deed));
        let own = format!("{}://{}", self.kind.scheme(), peer.address);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", "child::client"]);
        command.env(child::LIMIT, self.limit.as_millis().to_string()).env(child::CA, &lab.ca);
        if self.kind.is_proxy() {
            command.env(child::URL, format!("mqtt://{upstream}")).env(child::PROXY, own);
        } else {
            command.env(child::URL, own);
        }
        if self.leaves {
            command.env(child::LEAVES, "yes");
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{}: {told}{complaint}", self.name);
        Outcome { name: self.name.clone(), limit: self.limit + LATENESS, told, pushed: peer.pushed() }
    }
}

/// Runs cases side by side: most of their time they wait.
pub(crate) fn side_by_side(cases: Vec<Case>, judge: impl Fn(&Case, Outcome) + Sync) {
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(|| judge(case, case.run()));
        }
    });
}

/// What the client has told, and how much it was made to take.
pub(crate) struct Outcome {
    name: String,
    limit: Duration,
    told: String,
    pub(crate) pushed: u64,
}

impl Outcome {
    /// Every attempt but the last failed with these words in its error, waits grew, and the last one served.
    pub(crate) fn failed_with(&self, words: &[&str]) -> &Self {
        let Self { name, told, .. } = self.stayed_small();
        let ends = self.all("ended ");
        assert_eq!(ends.len(), TIMES, "{name}: {told}");
        for end in ends {
            let (took, error) = end.split_once(' ').unwrap();
            assert!(words.iter().all(|word| error.contains(word)), "{name}: {words:?} are not all in: {error}");
            let took = Duration::from_millis(took.parse().unwrap());
            assert!(took < self.limit, "{name}: an attempt took {took:?}");
        }
        assert_eq!(self.all("attempt").len(), TIMES + 1, "{name}: {told}");
        assert_eq!(self.all("waits "), ["50.0ms", "100.0ms"], "{name}: {told}");
        self
    }

    /// The first attempt served.
    pub(crate) fn served_at_once(&self) -> &Self {
        assert_eq!((self.all("attempt").len(), self.all("connected").len()), (1, 1), "{}: {}", self.name, self.told);
        self.stayed_small()
    }

    pub(crate) fn stayed_small(&self) -> &Self {
        let grew = self.all("grew ")[0].parse::<u64>().unwrap();
        eprintln!("{}: grew by {grew} KiB, {} KiB pushed", self.name, self.pushed / 1024);
        assert!(grew < MOST_GROWTH, "{}: grew by {grew} KiB", self.name);
        self
    }

    /// The peer came to push that much on one connection.
    pub(crate) fn took_at_least(&self, bytes: u64) {
        assert!(self.pushed >= bytes, "{}: only {} bytes were taken", self.name, self.pushed);
    }

    fn all(&self, word: &str) -> Vec<&str> {
        let lines = self.told.lines().filter_map(|line| line.split_once(child::MARK));
        lines.filter_map(|(_, line)| line.strip_prefix(word)).collect()
    }
}

/// In KiB: threads, TLS and a read buffer take some; a flood that is kept takes hundreds of MiB.
const MOST_GROWTH: u64 = 6 * 1024;

/// A server that does as it should.
struct Lab {
    server: Server,
    ca: PathBuf,
}

impl Lab {
    fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let name = format!("karere-hostile-{}-{}.pem", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let ca = std::env::temp_dir().join(name);
        fs::write(&ca, made.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let free = ([127, 0, 0, 1], 0);
        let options = Server::options(Broker::new(Config::new()));
        let server = options.tcp(free).tls(free, Arc::new(config)).websocket(free).start().unwrap();
        Self { server, ca }
    }

    fn address(&self, kind: Kind) -> SocketAddr {
        let address = match kind {
            Kind::Http | Kind::Socks4 | Kind::Socks5 => self.server.tcp_addr(),
            Kind::Tls => self.server.tls_addr(),
            Kind::WebSocket => self.server.websocket_addr(),
        };
        address.unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.ca);
    }
}
