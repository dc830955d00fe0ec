//! A server with four doors, and the certificate it shows.

use core::time::Duration;
use std::{
    error::Error,
    fmt::Write as _,
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use karere::tls::rustls;
use karere_broker::{Broker, Config, Server};

/// How a client comes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }
}

/// A certificate for 127.0.0.1 that is its own authority, in a folder that ends with it.
pub(crate) struct Certificate {
    folder: PathBuf,
    config: Arc<rustls::ServerConfig>,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
        let folder = std::env::temp_dir().join(format!("karere-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("certificate.pem"), made.cert.pem())?;
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], made.signing_key.serialize_der().try_into()?)?;
        Ok(Self { folder, config: Arc::new(config) })
    }

    /// In PEM.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A server that listens for every [`Way`]; it ends when it is dropped.
pub(crate) struct Servers {
    ports: [u16; 4],
    _running: Running,
}

/// What is dropped with it.
enum Running {
    Development(#[expect(dead_code, reason = "its drop stops it")] Server),
    Mosquitto(Child),
}

impl Servers {
    /// The development broker, on a thread of this process.
    pub(crate) fn development(certificate: &Certificate) -> Result<Self, Box<dyn Error>> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::options(Broker::new(Config::new()))
            .tcp(free)
            .tls(free, Arc::clone(&certificate.config))
            .websocket(free)
            .secure_websocket(free, Arc::clone(&certificate.config))
            .start()?;
        let addresses = [server.tcp_addr(), server.tls_addr(), server.websocket_addr(), server.secure_websocket_addr()];
        let ports = addresses.map(|address| address.map_or(0, |address| address.port()));
        Ok(Self { ports, _running: Running::Development(server) })
    }

    /// A mosquitto of its own.
    pub(crate) fn mosquitto(program: &Path, certificate: &Certificate) -> Result<Self, Box<dyn Error>> {
        // It cannot be asked which ports it took, so it is given some that were free a moment ago.
        let mut ports = [0; 4];
        let mut listeners = Vec::new();
        for port in &mut ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            *port = listener.local_addr()?.port();
            listeners.push(listener);
        }
        drop(listeners);
        let folder = &certificate.folder;
        let mut config = "user root\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n".to_owned();
        for (way, port) in Way::ALL.into_iter().zip(ports) {
            writeln!(config, "listener {port} 127.0.0.1")?;
            if matches!(way, Way::WebSocket | Way::SecureWebSocket) {
                config.push_str("protocol websockets\n");
            }
            if matches!(way, Way::Tls | Way::SecureWebSocket) {
                let folder = folder.display();
                writeln!(config, "certfile {folder}/certificate.pem\nkeyfile {folder}/key.pem")?;
            }
        }
        let file = folder.join("mosquitto.conf");
        fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running::Mosquitto(command.spawn()?);
        for port in ports {
            await_listener(port)?;
        }
        Ok(Self { ports, _running: running })
    }

    pub(crate) fn url(&self, way: Way) -> String {
        format!("{}://127.0.0.1:{}", way.scheme(), self.ports[way as usize])
    }
}

fn await_listener(port: u16) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(()),
            Err(error) if tries == 100 => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
        tries += 1;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Mosquitto(process) = self {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
