//! Mosquitto as the suite's server: a process of its own for each test.

use core::{fmt::Write as _, net::SocketAddr};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    PATIENCE,
    server::{Server, Setup},
};

#[derive(Debug)]
pub(crate) struct Mosquitto {
    setup: Setup,
    folder: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

impl Mosquitto {
    fn config(&self) -> PathBuf {
        let folder = self.folder.display();
        let mut config = format!(
            "listener {} 127.0.0.1\nlistener 0 {folder}/socket\npersistence true\npersistence_location {folder}/\n\
             max_queued_messages 0\nuser root\nlog_dest stderr\nlog_type error\nlog_type warning\nlog_type information\n\
             set_tcp_nodelay true\n",
            self.address.port()
        );
        if let Some(messages) = self.setup.in_flight {
            writeln!(config, "max_inflight_messages {messages}").expect("a string");
        }
        match self.setup.user {
            None => config.push_str("allow_anonymous true\n"),
            Some((name, password)) => {
                let file = self.folder.join("passwords");
                fs::write(&file, format!("{name}:{password}\n")).expect("a file in the folder");
                // Mosquitto hashes what stands in a file of plain passwords.
                let tool = std::env::var_os("KARERE_MOSQUITTO_PASSWD").unwrap_or_else(|| "mosquitto_passwd".into());
                let hashed =
                    Command::new(tool).arg("-U").arg(&file).status().expect("mosquitto_passwd beside mosquitto");
                assert!(hashed.success());
                writeln!(config, "allow_anonymous false\npassword_file {}", file.display()).expect("a string");
            }
        }
        let path = self.folder.join("mosquitto.conf");
        fs::write(&path, config).expect("a file in the folder");
        path
    }

    /// Starts it; `Err` with what it said when it ends at once, such as for a port that is taken.
    fn launch(&mut self) -> Result<(), String> {
        let program = std::env::var_os("KARERE_MOSQUITTO").expect(
            "set KARERE_MOSQUITTO to the path of mosquitto, or run `cargo xtask test --only interop`, which finds it",
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
}

impl Server for Mosquitto {
    const RESENDS_RELEASED: bool = true;

    fn start(setup: Setup) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("karere-mosquitto-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        let mut server = Self { setup, folder, address: ([127, 0, 0, 1], 0).into(), process: None };
        let mut said = String::new();
        for _ in 0..20 {
            // It cannot be asked which port it took, so it is given one that was free a moment ago.
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
            server.address = free.expect("a free port");
            match server.launch() {
                Ok(()) => return server,
                Err(why) => said = why,
            }
        }
        panic!("mosquitto does not start: {said}");
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn unix_path(&self) -> PathBuf {
        self.folder.join("socket")
    }

    fn stop(&mut self) {
        let mut process = self.process.take().expect("running");
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).expect("it is ours and alive");
        let status = process.wait().expect("ours");
        assert!(status.success(), "{status}");
    }

    fn resume(&mut self) {
        self.launch().expect("the port is still free");
    }

    fn provide_system_topic(&self) {} // it has it from the start
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
