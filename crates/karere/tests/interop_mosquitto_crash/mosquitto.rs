//! Mosquitto, with persistence.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

pub(crate) struct Mosquitto {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    process: Option<Child>,
}

impl Mosquitto {
    pub(crate) fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("karere-crash-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {}/\nmax_queued_messages 0\nuser root\n\
             allow_anonymous true\nlog_dest none\nset_tcp_nodelay true\n",
            folder.display()
        );
        fs::write(folder.join("mosquitto.conf"), config).unwrap();
        let mut server = Self { folder, port, process: None };
        server.launch();
        server
    }

    fn launch(&mut self) {
        let program = std::env::var_os("KARERE_MOSQUITTO").expect(
            "set KARERE_MOSQUITTO to the path of mosquitto, or run `cargo xtask test --only interop`, which finds it",
        );
        let mut mosquitto = Command::new(program);
        mosquitto.arg("-c").arg(self.folder.join("mosquitto.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(mosquitto.stderr(Stdio::null()).spawn().expect("mosquitto can be started"));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// As an administrator would: it loses what it has acknowledged in its last seconds when it is killed.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
            let _ = process.wait();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
