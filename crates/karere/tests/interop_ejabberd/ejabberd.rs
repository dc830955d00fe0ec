//! Ejabberd as the suite's server: a process of its own for each test.

use core::{fmt::Write as _, net::SocketAddr, time::Duration};
use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use karere::{Options, Version};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::server::{Server, Setup, options};

#[derive(Debug)]
pub(crate) struct Ejabberd {
    setup: Setup,
    /// Lines for the section of `mod_mqtt`.
    limits: &'static str,
    folder: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

/// Erlang has to start first, which takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Ejabberd {
    /// With lines for the section of `mod_mqtt`.
    pub(crate) fn with(setup: Setup, limits: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("karere-ejabberd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        let mut server = Self { setup, limits, folder, address: ([127, 0, 0, 1], 0).into(), process: None };
        server.launch();
        server
    }

    /// Options for a client that takes another way to it. Who sends no password is not let in, even where anyone is.
    pub(crate) fn options_by(&self, address: SocketAddr, version: Version, id: &str) -> Options {
        let options = options(address, version, id);
        if self.setup.user.is_some() { options } else { options.credentials("anyone", "anything") }
    }

    fn config(&self) -> PathBuf {
        // Anyone is let in, by any password, unless a user was named.
        let let_in = match self.setup.user {
            None => "auth_method: anonymous\nanonymous_protocol: login_anon\nallow_multiple_connections: true\n",
            Some(_) => "auth_method: internal\n",
        };
        let mut config = format!(
            "hosts: [localhost]\nloglevel: info\nlog_rotate_count: 0\nacme: {{auto: false}}\n{let_in}listen:\n  - {{port: \
             {}, ip: \"127.0.0.1\", module: mod_mqtt}}\nmodules:\n  mod_mqtt:\n    max_queue: 20000\n",
            self.address.port(),
        );
        for line in self.limits.lines() {
            writeln!(config, "    {line}").expect("a string");
        }
        let path = self.folder.join("ejabberd.yml");
        fs::write(&path, config).expect("a file in the folder");
        path
    }

    fn launch(&mut self) {
        let erlang = Erlang::of_ejabberdctl();
        let mut command = Command::new(erlang.program);
        // Without a name it is no node: no other Erlang can reach it, and no epmd is started that would stay.
        command.arg("-noinput").arg("-mnesia").arg("dir").arg(format!("{:?}", self.folder.join("spool")));
        command.arg("-s").arg("ejabberd");
        if let Some((name, password)) = self.setup.user {
            let register = format!("ejabberd_auth:try_register(<<{name:?}>>, <<\"localhost\">>, <<{password:?}>>).");
            command.arg("-eval").arg(register);
        }
        let mut process = command
            .env("ERL_LIBS", erlang.libraries)
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("EJABBERD_CONFIG_PATH", self.config())
            .env("EJABBERD_LOG_PATH", self.folder.join("ejabberd.log"))
            .env("EJABBERD_PID_PATH", self.folder.join("pid"))
            .env("HOME", &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Erlang can be started");
        let said = BufReader::new(process.stdout.take().expect("piped"));
        self.process = Some(process);
        let (tell, told) = mpsc::channel();
        // Reads to the end, or the process would stop when the pipe is full.
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut lines = String::new();
        self.address = loop {
            let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("ejabberd does not start: {lines}"));
            // With port 0 in the configuration this tells which one it took.
            if let Some((_, place)) = line.split_once("Start accepting TCP connections at ") {
                break place.split(' ').next().and_then(|address| address.parse().ok()).expect("an address");
            }
            lines = lines + &line + "\n";
        };
    }
}

/// What `ejabberdctl` knows of Erlang. The script itself would change the user and start epmd.
struct Erlang {
    program: OsString,
    libraries: OsString,
}

impl Erlang {
    fn of_ejabberdctl() -> Self {
        let script = std::env::var_os("KARERE_EJABBERD")
            .expect("set KARERE_EJABBERD to the path of ejabberdctl, or run `cargo xtask test --only interop`");
        let text = fs::read_to_string(&script)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", PathBuf::from(&script).display()));
        let value = |name: &str| {
            let mut values = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
            values.next().map(|value| value.trim_matches(['"', '\'']).into())
        };
        Self {
            program: value("ERL").unwrap_or_else(|| "erl".into()),
            libraries: value("ERL_LIBS").expect("a line ERL_LIBS= in ejabberdctl"),
        }
    }
}

impl Server for Ejabberd {
    const RESENDS_RELEASED: bool = false;

    /// It announces no Receive Maximum, and sends each client one message at a time whatever is configured.
    fn start(setup: Setup) -> Self {
        Self::with(setup, "")
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn unix_path(&self) -> PathBuf {
        panic!("no test of this list asks for it")
    }

    fn stop(&mut self) {
        let mut process = self.process.take().expect("running");
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).expect("it is ours and alive");
        let status = process.wait().expect("ours");
        assert!(status.success(), "{status}");
    }

    fn resume(&mut self) {
        self.launch();
    }

    fn provide_system_topic(&self) {} // it has none

    fn options(&self, version: Version, id: &str) -> Options {
        self.options_by(self.address, version, id)
    }
}

impl Drop for Ejabberd {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
