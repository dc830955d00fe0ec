//! Mosquitto with several doors: listeners for TLS and WebSocket beside a plain one.

use core::{fmt::Write as _, net::SocketAddr, time::Duration};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use karere::{Options, Version, tls::TlsOptions};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    certificates::{Authority, Pair, params},
    common::{
        PATIENCE,
        server::{Server, Setup},
    },
};

/// A listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door {
    pub(crate) websocket: bool,
    pub(crate) shows: Option<Pair>,
    /// Only clients with a certificate of this CA are let in.
    pub(crate) clients_of: Option<String>,
    /// Only clients with one of these keys are let in: lines of a `psk_file`. Each has its identity as its user name.
    pub(crate) keys: Option<&'static str>,
}

impl Door {
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    pub(crate) fn tls(shows: Pair) -> Self {
        Self { shows: Some(shows), ..Self::default() }
    }

    #[cfg(feature = "openssl")]
    pub(crate) fn psk(keys: &'static str) -> Self {
        Self { keys: Some(keys), ..Self::default() }
    }

    pub(crate) fn websocket(self) -> Self {
        Self { websocket: true, ..self }
    }

    /// The scheme of a URL that leads through it.
    pub(crate) const fn scheme(&self) -> &'static str {
        match (self.websocket, self.shows.is_some() || self.keys.is_some()) {
            (false, false) => "mqtt",
            (false, true) => "mqtts",
            (true, false) => "ws",
            (true, true) => "wss",
        }
    }
}

/// A process of its own for each test; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    doors: Vec<Door>,
    ports: Vec<u16>,
    setup: Setup,
    folder: PathBuf,
    process: Option<Child>,
}

impl Mosquitto {
    pub(crate) fn start(doors: Vec<Door>, setup: Setup) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        assert_eq!(setup.user, None, "passwords are no matter of transports");
        let name = format!("karere-transports-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        let mut server = Self { doors, ports: Vec::new(), setup, folder, process: None };
        let mut said = String::new();
        for _ in 0..20 {
            // It cannot be asked which ports it took, so it is given some that were free a moment ago.
            let free = server.doors.iter().map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
            let free = free.collect::<Vec<_>>();
            let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
            server.ports = free.iter().map(port).collect();
            drop(free);
            match server.launch() {
                Ok(()) => return server,
                Err(why) => said = why,
            }
        }
        panic!("mosquitto does not start: {said}");
    }

    pub(crate) fn port(&self, door: usize) -> u16 {
        self.ports[door]
    }

    fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, contents).expect("a file in the folder");
        path
    }

    fn config(&self) -> PathBuf {
        let folder = self.folder.display();
        let mut config = format!(
            "persistence true\npersistence_location {folder}/\nmax_queued_messages 0\nuser root\nlog_dest stderr\n\
             log_type error\nlog_type warning\nlog_type information\nset_tcp_nodelay true\nper_listener_settings true\n"
        );
        if let Some(messages) = self.setup.in_flight {
            writeln!(config, "max_inflight_messages {messages}").expect("a string");
        }
        for (number, (door, port)) in self.doors.iter().zip(&self.ports).enumerate() {
            writeln!(config, "listener {port} 127.0.0.1").expect("a string");
            if door.websocket {
                config.push_str("protocol websockets\n");
            }
            if let Some(Pair { certificate, key }) = &door.shows {
                let certificate = self.file(&format!("{number}.crt"), certificate);
                let key = self.file(&format!("{number}.key"), key);
                writeln!(config, "certfile {}\nkeyfile {}", certificate.display(), key.display()).expect("a string");
            }
            if let Some(authority) = &door.clients_of {
                let authority = self.file(&format!("{number}.ca"), authority);
                writeln!(config, "cafile {}\nrequire_certificate true", authority.display()).expect("a string");
            }
            if let Some(keys) = &door.keys {
                let keys = self.file(&format!("{number}.psk"), keys);
                writeln!(config, "psk_file {}\npsk_hint a hint\nuse_identity_as_username true", keys.display())
                    .expect("a string");
            }
            writeln!(config, "allow_anonymous {}", door.keys.is_none()).expect("a string");
        }
        self.file("mosquitto.conf", &config)
    }

    /// Starts it; `Err` with what it said when it ends at once, such as for a port that is taken.
    fn launch(&mut self) -> Result<(), String> {
        let program = std::env::var_os("KARERE_MOSQUITTO").expect(
            "KARERE_MOSQUITTO must name the mosquitto program; `cargo xtask test` finds it, or has it installed",
        );
        let mut process = Command::new(&program)
            .arg("-c")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let said = BufReader::new(process.stderr.take().expect("piped"));
        let (tell, told) = mpsc::channel();
        // Reads to the end, or the process would stop when the pipe is full.
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut lines = String::new();
        loop {
            match told.recv_timeout(PATIENCE) {
                Ok(line) if line.contains("running") => break,
                Ok(line) => lines = lines + &line + "\n",
                Err(_) => {
                    let _ = process.kill();
                    let _ = process.wait();
                    return Err(lines);
                }
            }
        }
        self.process = Some(process);
        Ok(())
    }

    fn stop(&mut self) {
        let mut process = self.process.take().expect("running");
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).expect("it is ours and alive");
        let status = process.wait().expect("ours");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Keeps mosquitto awake. Version 2.0.11 with libwebsockets 4 writes 4 KiB to a WebSocket whenever its loop turns, and by
/// itself that turns ten times a second: 1 MiB would take half a minute, whoever the client is.
#[derive(Debug)]
struct Ticker {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(port: u16) -> Self {
        let over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                // Between two lives of the server there is nobody to be kept awake.
                let _ = tick(port, &ends);
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

/// Exchanges PINGREQ and PINGRESP, of 3.1.1, until it is over.
fn tick(port: u16, over: &AtomicBool) -> io::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.write_all(b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06ticker")?;
    socket.read_exact(&mut [0; 4])?;
    while !over.load(Ordering::Relaxed) {
        socket.write_all(b"\xc0\0")?;
        socket.read_exact(&mut [0; 2])?;
        thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A way to mosquitto: a door, and a plain one beside it for witnesses.
#[derive(Debug)]
pub(crate) struct Way {
    /// First: it goes before the server.
    _ticker: Option<Ticker>,
    server: Mosquitto,
    authority: String,
}

impl Way {
    fn start(setup: Setup, door: impl FnOnce(Pair) -> Door) -> Self {
        let authority = Authority::new("CA of this test");
        let door = door(authority.issue(&params(&["127.0.0.1", "localhost"])));
        let sleeps = door.websocket;
        let server = Mosquitto::start(vec![door, Door::plain()], setup);
        Self { _ticker: sleeps.then(|| Ticker::start(server.port(1))), server, authority: authority.pem }
    }

    /// Options for a client that goes through the door, or through something at `port` before it.
    pub(crate) fn options_at(&self, port: u16, version: Version, id: &str) -> Options {
        let door = &self.server.doors[0];
        let options = Options::new(&format!("{}://127.0.0.1:{port}", door.scheme()))
            .expect("legal URL")
            .version(version)
            .client_id(id)
            .reconnect_delay(Duration::from_millis(5), Duration::from_millis(40))
            .tls(TlsOptions::new().ca_bytes(&self.authority).build().expect("a CA"));
        #[cfg(feature = "openssl")]
        if door.keys.is_some() {
            return options.pre_shared_key(crate::psk::key_of("pump-7"));
        }
        options
    }
}

/// A server of the suite that is spoken to in one way, and to witnesses in the plain one.
pub(crate) trait Transported: Server {
    fn way(&self) -> &Way;

    fn plain_port(&self) -> u16 {
        self.way().server.port(1)
    }
}

macro_rules! ways {
    ($($(#[$about:meta])* $name:ident: $door:expr,)*) => {
        $(
            $(#[$about])*
            #[derive(Debug)]
            pub(crate) struct $name(Way);

            impl Transported for $name {
                fn way(&self) -> &Way {
                    &self.0
                }
            }

            impl Server for $name {
                const RESENDS_RELEASED: bool = true;

                fn start(setup: Setup) -> Self {
                    Self(Way::start(setup, $door))
                }

                fn address(&self) -> SocketAddr {
                    ([127, 0, 0, 1], self.0.server.port(0)).into()
                }

                fn unix_path(&self) -> PathBuf {
                    unreachable!("there are no layers over Unix sockets")
                }

                fn stop(&mut self) {
                    self.0.server.stop();
                }

                fn resume(&mut self) {
                    self.0.server.launch().expect("the ports are still free");
                }

                fn provide_system_topic(&self) {} // it has it from the start

                fn options(&self, version: Version, id: &str) -> Options {
                    self.0.options_at(self.0.server.port(0), version, id)
                }
            }
        )*
    };
}

ways! {
    /// Over `mqtts://`.
    Tls: Door::tls,
    /// Over `ws://`.
    WebSocket: |_| Door::plain().websocket(),
    /// Over `wss://`.
    SecureWebSocket: |pair| Door::tls(pair).websocket(),
}

#[cfg(feature = "openssl")]
ways! {
    /// Over `mqtts://`, by a pre-shared key.
    Psk: |_| Door::psk(crate::psk::KEYS),
}
