//! How is a program run so that its output is seen while it runs?

use crate::out::{self, Stream};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A `cargo` command in `root`, by the cargo that runs this.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What `cargo run` tells xtask about xtask would make build scripts that watch these variables run again.
    for (name, _) in std::env::vars_os() {
        let of_xtask =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if of_xtask {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` to its end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitStatus> {
    announce(command);
    command.stdin(Stdio::null()).status().map_err(|error| not_started(command, &error))
}

/// Runs `command` to its end and reads along what it writes to `stream`.
pub(crate) fn run_reading(command: &mut Command, stream: Stream) -> io::Result<(ExitStatus, String)> {
    announce(command);
    command.stdin(Stdio::null());
    match stream {
        Stream::Stderr => command.stderr(Stdio::piped()),
        Stream::Stdout => command.stdout(Stdio::piped()),
    };
    let mut child = command.spawn().map_err(|error| not_started(command, &error))?;
    let output = read_along(&mut child, stream)?;
    Ok((child.wait()?, output))
}

fn read_along(child: &mut Child, stream: Stream) -> io::Result<String> {
    let mut pipe: Box<dyn Read> = match (stream, child.stdout.take(), child.stderr.take()) {
        (Stream::Stderr, _, Some(stderr)) => Box::new(stderr),
        (Stream::Stdout, Some(stdout), _) => Box::new(stdout),
        (Stream::Stderr, _, None) | (Stream::Stdout, None, _) => return Ok(String::new()),
    };
    let mut output = Vec::new();
    let mut chunk = [0; 8 * 1024];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(String::from_utf8_lossy(&output).into_owned()),
            Ok(length) => {
                out::echo(stream, &chunk[..length]);
                output.extend_from_slice(&chunk[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where this very program was built: that holds however cargo was told about the folder.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    let own = std::env::current_exe().ok();
    let folder = own.as_deref().and_then(|program| program.ancestors().nth(2));
    folder.map_or_else(|| root.join("target"), Path::to_owned)
}

/// What the compiler calls itself, and the machine it builds for.
pub(crate) fn compiler() -> io::Result<(String, String)> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("-vV").stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    match (said.lines().next(), host) {
        (Some(version), Some(host)) => Ok((version.to_owned(), host.to_owned())),
        _ => Err(io::Error::other("rustc -vV does not name the host")),
    }
}

/// Whether `command` can be run and succeeds; what it says is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The first file called `name` in `PATH`, or else in `more`.
pub(crate) fn find(name: &str, more: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(more.iter().map(PathBuf::from));
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    folders.map(|folder| folder.join(&file)).find(|path| path.is_file())
}

fn announce(command: &Command) {
    // An absolute path of cargo says nothing that its name does not.
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    let words: Vec<_> =
        words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }).collect();
    out::line(&format!("$ {}", words.join(" ")));
}

fn not_started(command: &Command, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{} could not be started: {error}", command.get_program().to_string_lossy()))
}
