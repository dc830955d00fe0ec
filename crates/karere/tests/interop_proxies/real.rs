//! Real proxies, each a process of its own for one test, on a port of the loopback that was free a moment ago.

use core::{net::SocketAddr, time::Duration};
use std::{
    fmt::Write as _,
    fs,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct RealProxy {
    program: Program,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
    process: Option<Child>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// SOCKS 4, 4a and 5, for everyone. It runs as several processes.
    Dante,
    /// SOCKS 5: for this user, or for everyone.
    Microsocks(Option<User>),
    /// HTTP CONNECT: for this user, or for everyone.
    Tinyproxy(Option<User>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl RealProxy {
    pub(crate) fn start(program: Program) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("karere-proxy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        let mut proxy = Self { program, folder, address: ([127, 0, 0, 1], 0).into(), process: None };
        for _ in 0..20 {
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
            proxy.address = free.expect("a free port");
            if proxy.launch() {
                return proxy;
            }
        }
        panic!("{program:?} does not start");
    }

    /// Its URL for a scheme, with who to be there before the host: `user:password@`, or nothing.
    pub(crate) fn url(&self, scheme: &str, credentials: &str) -> String {
        format!("{scheme}://{credentials}{}", self.address)
    }

    /// False when it ends at once, such as for a port that is taken.
    fn launch(&mut self) -> bool {
        let mut command = self.command();
        // A group of its own: Dante's processes end with it, whatever becomes of their mother.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if process.try_wait().expect("a child of this process").is_some() {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                self.process = Some(process);
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        end(&mut process);
        false
    }

    fn command(&self) -> Command {
        let port = self.address.port();
        let program = |variable: &str| {
            let path = std::env::var_os(variable);
            Command::new(path.unwrap_or_else(|| {
                panic!("{variable} must name the program; `cargo xtask test` finds it, or has it installed")
            }))
        };
        match self.program {
            Program::Dante => {
                let mut command = program("KARERE_DANTED");
                command.arg("-f").arg(self.config(&dante(port)));
                command.arg("-p").arg(self.folder.join("pid"));
                command
            }
            Program::Microsocks(user) => {
                let mut command = program("KARERE_MICROSOCKS");
                command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
                if let Some(User { name, password }) = user {
                    command.args(["-u", name, "-P", password]);
                }
                command
            }
            Program::Tinyproxy(user) => {
                let mut config = format!("Port {port}\nListen 127.0.0.1\nMaxClients 20\nTimeout 60\nLogLevel Error\n");
                if let Some(User { name, password }) = user {
                    writeln!(config, "BasicAuth {name} {password}").expect("a string");
                }
                let mut command = program("KARERE_TINYPROXY");
                command.arg("-d").arg("-c").arg(self.config(&config));
                command
            }
        }
    }

    fn config(&self, text: &str) -> PathBuf {
        let path = self.folder.join("config");
        fs::write(&path, text).expect("a file in the folder");
        path
    }
}

fn dante(port: u16) -> String {
    // It wants to be told whom to be; who is not root can be nobody else.
    let users = if geteuid().is_root() { "user.privileged: root\nuser.unprivileged: nobody\n" } else { "" };
    format!(
        "logoutput: /dev/null\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nexternal.rotation: none\n{users}\
         clientmethod: none\nsocksmethod: none\nclient pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n\
         socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n"
    )
}

/// Asks it to end, so that it ends its own processes; then ends what is left of the group.
fn end(process: &mut Child) {
    let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    let _ = kill_process(pid, Signal::TERM);
    let deadline = Instant::now() + Duration::from_secs(5);
    while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = process.wait();
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            end(process);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
