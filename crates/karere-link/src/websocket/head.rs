//! The head of a server's HTTP answer.

/// A head that has come in full.
pub(super) struct Head {
    pub(super) status: u16,
    /// What follows the status; may be empty.
    pub(super) reason: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head that ends with an empty line, or says what is wrong.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let status_line = lines.next().unwrap_or_default();
        let (status, reason) = parse_status(status_line).ok_or("its first line has no status")?;
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            match line.split_once(':') {
                Some((name, value)) if is_token(name) => headers.push((name.to_owned(), value.trim().to_owned())),
                _ => return Err("one of its lines is no header".to_owned()),
            }
        }
        Ok(Self { status, reason: reason.trim().to_owned(), headers })
    }

    /// The values of all headers of this name, in lower case.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of the header, when there is just one.
    pub(super) fn only(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// True when one of the header's comma-separated values is `token`, in any case.
    pub(super) fn has(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    }
}

/// `HTTP/1.1 101 Switching Protocols`
fn parse_status(line: &str) -> Option<(u16, &str)> {
    let (_, after) = line.strip_prefix("HTTP/")?.split_once(' ')?;
    let after = after.trim_start();
    let (status, reason) = after.split_once(' ').unwrap_or((after, ""));
    let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    Some((status.parse().ok().filter(|_| is_status)?, reason))
}

/// True for what may be a header's name (RFC 9110, §5.6.2).
pub(super) fn is_token(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}

/// Looks for the end of a head, at each byte once.
#[derive(Default)]
pub(super) struct EndOfHead {
    /// Bytes that were looked at.
    seen: usize,
    /// Where the line begins that is being looked at.
    line: usize,
}

impl EndOfHead {
    /// Where the head ends of which `bytes` are the beginning, the ones looked at before included.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(found) = bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
            let end = self.seen + found;
            let line = &bytes[self.line..end];
            self.seen = end + 1;
            self.line = end + 1;
            if matches!(line, b"" | b"\r") {
                return Some(end + 1);
            }
        }
        self.seen = bytes.len();
        None
    }
}
