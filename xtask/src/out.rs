//! Where does what `xtask` says go?
//!
//! A reader that went away (`cargo xtask test | head`) is no failure, hence no `println!`, which would panic.

use std::io::{self, Write};

/// Text as it is, on standard output.
pub(crate) fn text(text: &str) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).unwrap_or_default();
}

/// A line on standard output.
pub(crate) fn line(line: &str) {
    text(&format!("{line}\n"));
}

/// A line that begins something new.
pub(crate) fn title(title: &str) {
    line(&format!("\n== {title}"));
}

/// What went wrong, on standard error.
pub(crate) fn error(what: &str) {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "error: {what}").unwrap_or_default();
}

/// What a child process wrote to `stream`, at once.
pub(crate) fn echo(stream: Stream, bytes: &[u8]) {
    let echoed = match stream {
        Stream::Stderr => io::stderr().lock().write_all(bytes),
        Stream::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
    };
    echoed.unwrap_or_default();
}

/// One of a process's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stderr,
    Stdout,
}
