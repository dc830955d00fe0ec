//! Topic filters, shared subscriptions, and the question whether a filter matches a name (§4.7, §4.8.2).

use core::fmt;

use bytes::Bytes;

use crate::text::{InvalidString, Utf8String};

/// A Topic Filter: a topic name in which `+` stands for a level and a final `#` for the rest (§4.7.1).
///
/// `$share/{name}/{filter}` makes it a shared subscription (§4.8.2). Cheap to clone.
///
/// A filter belongs to no version: `$share/…` means the same in each. 3.1 and 3.1.1 know no shared subscriptions, but servers
/// such as mosquitto serve them there too. One that does not takes the filter by its letters, and nothing is to be expected:
/// names that begin with `$` are for the server's own use (v3: §4.7.2). That is why a malformed `$share` filter, legal by the
/// letters of 3.1.1, is refused for every version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(Utf8String);

impl Filter {
    /// Checks and copies `filter`.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with it.
    pub fn new(filter: impl AsRef<str>) -> Result<Self, InvalidFilter> {
        let filter = filter.as_ref();
        let string = Utf8String::new(filter).map_err(InvalidFilter::String)?;
        check(filter)?;
        Ok(Self(string))
    }

    /// Checks `bytes` and takes them without a copy.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with them.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, InvalidFilter> {
        let string = Utf8String::from_bytes(bytes).map_err(InvalidFilter::String)?;
        check(&string)?;
        Ok(Self(string))
    }

    /// The whole filter, `$share/…` included: what SUBSCRIBE and UNSUBSCRIBE carry [MQTT-3.10.4-1].
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes of the whole filter.
    pub const fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// The name of the share, for a shared subscription (§4.8.2).
    pub fn share(&self) -> Option<&str> {
        split_share(self.as_str()).map(|(share, _)| share)
    }

    /// The part that topic names are matched against: without `$share/{name}/`.
    pub fn pattern(&self) -> &str {
        let filter = self.as_str();
        split_share(filter).map_or(filter, |(_, pattern)| pattern)
    }

    /// True when the filter has `+` or `#` in it.
    pub fn has_wildcard(&self) -> bool {
        self.pattern().contains(['+', '#'])
    }

    /// True when a message to `topic` matches; the share, if any, plays no part (§4.7.1, §4.7.2).
    pub fn matches(&self, topic: &str) -> bool {
        matches(self.pattern(), topic)
    }
}

/// The share name and the pattern of `$share/{name}/{pattern}`.
fn split_share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

fn check(filter: &str) -> Result<(), InvalidFilter> {
    if filter.is_empty() {
        return Err(InvalidFilter::Empty);
    }
    let pattern = match filter.strip_prefix("$share/") {
        None if filter == "$share" => return Err(InvalidFilter::Share),
        None => filter,
        Some(rest) => {
            let (share, pattern) = rest.split_once('/').ok_or(InvalidFilter::Share)?;
            if share.is_empty() || share.contains(['+', '#']) || pattern.is_empty() {
                return Err(InvalidFilter::Share);
            }
            pattern
        }
    };
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "+" => {}
            "#" if levels.peek().is_some() => return Err(InvalidFilter::HashNotLast),
            "#" => {}
            _ if level.contains('#') => return Err(InvalidFilter::HashInLevel),
            _ if level.contains('+') => return Err(InvalidFilter::PlusInLevel),
            _ => {}
        }
    }
    Ok(())
}

/// True when topic name `topic` matches the filter `pattern` (§4.7.1, §4.7.2).
///
/// `pattern` is without share; an invalid one matches what its levels say, so that paho's `topic_matches_sub` has its equal.
pub fn matches(pattern: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !pattern.starts_with('$') && pattern.starts_with(['+', '#']) {
        return false; // [MQTT-4.7.2-1]
    }
    let mut names = topic.split('/');
    for level in pattern.split('/') {
        if level == "#" {
            return true; // also of the parent: `a/#` matches `a`, whose names are used up here
        }
        match names.next() {
            Some(_) if level == "+" => {}
            Some(name) if name == level => {}
            Some(_) | None => return false,
        }
    }
    names.next().is_none()
}

impl AsRef<str> for Filter {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Filter {
    type Error = InvalidFilter;

    fn try_from(filter: &str) -> Result<Self, InvalidFilter> {
        Self::new(filter)
    }
}

impl TryFrom<String> for Filter {
    type Error = InvalidFilter;

    fn try_from(filter: String) -> Result<Self, InvalidFilter> {
        Self::from_bytes(Bytes::from(filter))
    }
}

impl TryFrom<&Self> for Filter {
    type Error = InvalidFilter;

    fn try_from(filter: &Self) -> Result<Self, InvalidFilter> {
        Ok(filter.clone())
    }
}

impl From<core::convert::Infallible> for InvalidFilter {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

/// A topic name is a filter that matches only itself.
impl From<&super::Topic> for Filter {
    fn from(topic: &super::Topic) -> Self {
        Self(topic.0.clone())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text cannot be a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidFilter {
    /// It is empty [MQTT-4.7.3-1].
    Empty,
    /// `#` shares a level with other characters [MQTT-4.7.1-1].
    HashInLevel,
    /// `#` is not the last level [MQTT-4.7.1-1].
    HashNotLast,
    /// `+` shares a level with other characters [MQTT-4.7.1-2].
    PlusInLevel,
    /// It begins with `$share` but is no `$share/{name}/{filter}` [MQTT-4.8.2-1].
    Share,
    /// It is no string of MQTT.
    String(InvalidString),
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("topic filter is empty [MQTT-4.7.3-1]"),
            Self::HashInLevel => f.write_str("topic filter has # within a level; it must stand alone [MQTT-4.7.1-1]"),
            Self::HashNotLast => f.write_str("topic filter has # before its last level [MQTT-4.7.1-1]"),
            Self::PlusInLevel => f.write_str("topic filter has + within a level; it must stand alone [MQTT-4.7.1-2]"),
            Self::Share => f.write_str(
                "shared subscription is not $share/{name}/{filter} with a name free of + and # [MQTT-4.8.2-1, MQTT-4.8.2-2]",
            ),
            Self::String(string) => write!(f, "topic filter {string}"),
        }
    }
}

impl core::error::Error for InvalidFilter {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_the_specification_says() {
        for (pattern, topic) in [
            ("a/#", "a"),
            ("a/#", "a/"),
            ("a/#", "a/b/c"),
            ("#", "a/b"),
            ("+/+", "/x"),
            ("/+", "/x"),
            ("a/+", "a/"),
            ("a/+/c", "a/b/c"),
            ("a/+/c/#", "a/b/c"),
            ("$SYS/#", "$SYS/x"),
            ("$SYS/+", "$SYS/x"),
            ("a", "a"),
            ("", ""),
        ] {
            assert!(matches(pattern, topic), "{pattern} should match {topic}");
        }
        for (pattern, topic) in [
            ("+", "/x"),
            ("a/+", "a"),
            ("a/+", "a/b/c"),
            ("#", "$SYS/x"),
            ("+/x", "$SYS/x"),
            ("+", "$SYS"),
            ("a", "A"),
            ("a", "a/"),
            ("a/b", "a"),
            ("a/#", "ab"),
        ] {
            assert!(!matches(pattern, topic), "{pattern} should not match {topic}");
        }
    }

    #[test]
    fn shared_filters_match_by_their_pattern_alone() {
        let filter = Filter::new("$share/g//x").expect("legal");
        assert_eq!((filter.share(), filter.pattern()), (Some("g"), "/x"));
        assert!(filter.matches("/x") && !filter.matches("x") && !filter.matches("$share/g//x"));
        assert_eq!(Filter::new("$shared/x").expect("an ordinary filter").share(), None);
    }

    #[test]
    fn illegal_filters_are_refused_by_reason() {
        for (filter, why) in [
            ("", InvalidFilter::Empty),
            ("a#", InvalidFilter::HashInLevel),
            ("a/#/b", InvalidFilter::HashNotLast),
            ("a+", InvalidFilter::PlusInLevel),
            ("+a/b", InvalidFilter::PlusInLevel),
            ("$share/g", InvalidFilter::Share),
            ("$share//f", InvalidFilter::Share),
            ("$share/a+/f", InvalidFilter::Share),
            ("$share/g/", InvalidFilter::Share),
            ("$share", InvalidFilter::Share),
            ("a\0", InvalidFilter::String(InvalidString::Nul)),
        ] {
            assert_eq!(Filter::new(filter), Err(why), "{filter}");
        }
    }
}
