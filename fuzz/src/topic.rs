//! Do topics, filters and the tree of filters agree with a plain reading of §4.7?

use bytes::Bytes;
use karere_proto::{
    Filter, Topic,
    topic::{FilterTree, matches},
};

/// Lines: topic names, and filters with what is done to the tree of them. The first character says which:
/// `=` is a name, `-` takes a filter out, `?` asks for its value, and anything else puts it in.
pub fn check(bytes: &[u8]) {
    let mut tree = FilterTree::new();
    let mut model: Vec<(Filter, usize)> = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let (verb, text) = line.split_first().map_or((b'+', line), |(&verb, text)| (verb, text));
        if verb == b'=' {
            check_name(text, &tree, &model);
            continue;
        }
        let Some(filter) = check_filter(text) else {
            continue;
        };
        let known = model.iter().position(|(there, _)| *there == filter);
        match verb {
            b'-' => assert_eq!(tree.remove(&filter), known.map(|at| model.swap_remove(at).1), "{filter}"),
            b'?' => assert_eq!(tree.get_mut(&filter).copied(), known.map(|at| model[at].1), "{filter}"),
            _ => {
                let before = known.map(|at| model.swap_remove(at).1);
                assert_eq!(tree.insert(filter.clone(), number), before, "{filter}");
                model.push((filter, number));
            }
        }
        assert_eq!((tree.len(), tree.is_empty()), (model.len(), model.is_empty()));
    }
    let mut all = Vec::new();
    tree.for_each(|filter, &value| all.push((filter.clone(), value)));
    all.sort();
    model.sort();
    assert_eq!(all, model);
}

fn check_name(bytes: &[u8], tree: &FilterTree<usize>, model: &[(Filter, usize)]) {
    let topic = Topic::from_bytes(Bytes::copy_from_slice(bytes));
    assert_eq!(topic.is_ok(), is_text(bytes) && !bytes.iter().any(|byte| b"+#".contains(byte)), "{topic:?}");
    let Ok(topic) = topic else {
        return;
    };
    let name = topic.as_str();
    assert_eq!(Topic::new(name).as_ref(), Ok(&topic));
    assert_eq!(topic.is_reserved(), name.starts_with('$'));
    let mut found = Vec::new();
    tree.for_each_match(name, |_, &value| found.push(value));
    let mut expected = Vec::new();
    for (filter, value) in model {
        let is_match = should_match(filter.pattern(), name);
        assert_eq!(filter.matches(name), is_match, "{filter} and {name}");
        assert_eq!(matches(filter.pattern(), name), is_match, "{filter} and {name}");
        expected.extend(is_match.then_some(*value));
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{name}");
}

fn check_filter(bytes: &[u8]) -> Option<Filter> {
    let filter = Filter::from_bytes(Bytes::copy_from_slice(bytes));
    let text = core::str::from_utf8(bytes).ok().filter(|_| is_text(bytes));
    assert_eq!(filter.is_ok(), text.is_some_and(should_be_filter), "{filter:?}");
    let filter = filter.ok()?;
    assert_eq!(Filter::new(filter.as_str()).as_ref(), Ok(&filter));
    match filter.share() {
        Some(share) => assert_eq!(filter.as_str(), format!("$share/{share}/{}", filter.pattern())),
        None => assert_eq!(filter.as_str(), filter.pattern()),
    }
    assert_eq!(filter.has_wildcard(), filter.pattern().bytes().any(|byte| b"+#".contains(&byte)));
    // A name is a filter, and matches itself; a filter that is no name is none.
    match Topic::from_bytes(filter.as_bytes().clone()) {
        Ok(topic) => {
            assert!(Filter::from(&topic) == filter && (filter.share().is_some() || filter.matches(&topic_of(&topic))))
        }
        Err(_) => assert!(filter.has_wildcard()),
    }
    Some(filter)
}

fn topic_of(topic: &Topic) -> String {
    topic.to_string()
}

fn is_text(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok() && (1..=65_535).contains(&bytes.len()) && !bytes.contains(&0)
}

/// §4.7.1 and §4.8.2, level by level.
fn should_be_filter(text: &str) -> bool {
    let mut levels = text.split('/').collect::<Vec<_>>();
    if levels[0] == "$share" {
        let has_name = levels.get(1).is_some_and(|name| !name.is_empty() && !name.contains(['+', '#']));
        // The filter behind the name has at least one character [MQTT-4.7.3-1].
        if !has_name || levels.len() < 3 || levels[2..] == [""] {
            return false;
        }
        levels.drain(..2);
    }
    let last = levels.len() - 1;
    levels.iter().enumerate().all(|(at, &level)| match level {
        "+" => true,
        "#" => at == last,
        _ => !level.contains(['+', '#']),
    })
}

/// §4.7.1 and §4.7.2, by recursion over the levels.
fn should_match(pattern: &str, name: &str) -> bool {
    fn levels_match(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern, name) {
            (["#"], _) | ([], []) => true,
            (["+", pattern @ ..], [_, name @ ..]) => levels_match(pattern, name),
            ([level, pattern @ ..], [same, name @ ..]) if level == same => levels_match(pattern, name),
            _ => false,
        }
    }
    let pattern = pattern.split('/').collect::<Vec<_>>();
    let name = name.split('/').collect::<Vec<_>>();
    let is_hidden = name[0].starts_with('$') && ["+", "#"].contains(&pattern[0]);
    !is_hidden && levels_match(&pattern, &name)
}
