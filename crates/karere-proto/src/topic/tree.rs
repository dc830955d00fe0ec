//! Values by topic filter, and all that match a topic name.

use std::collections::HashMap;

use super::Filter;

/// A map from topic filters to values that answers "which of you match this topic?".
///
/// Costs one hash look-up for each level of the name, whatever the number of filters. Filters that differ only in
/// their share are kept apart by [`FilterTree::insert`] and found alike.
#[derive(Clone, Debug)]
pub struct FilterTree<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Node<V> {
    /// The value of the filter that ends here, by its share; nearly always one.
    values: Vec<(Filter, V)>,
    children: HashMap<Box<str>, Self>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { values: Vec::new(), children: HashMap::new() }
    }
}

impl<V> Default for FilterTree<V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<V> FilterTree<V> {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `value` under `filter` and returns what was there.
    pub fn insert(&mut self, filter: Filter, value: V) -> Option<V> {
        let mut node = &mut self.root;
        for level in filter.pattern().split('/') {
            node = node.children.entry(level.into()).or_default();
        }
        match node.values.iter_mut().find(|(there, _)| *there == filter) {
            Some((_, old)) => Some(core::mem::replace(old, value)),
            None => {
                node.values.push((filter, value));
                self.len += 1;
                None
            }
        }
    }

    /// Takes the value of exactly this filter out.
    pub fn remove(&mut self, filter: &Filter) -> Option<V> {
        let levels = filter.pattern().split('/').collect::<Vec<_>>();
        let removed = remove(&mut self.root, &levels, filter);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// The value of exactly this filter.
    pub fn get_mut(&mut self, filter: &Filter) -> Option<&mut V> {
        let mut node = &mut self.root;
        for level in filter.pattern().split('/') {
            node = node.children.get_mut(level)?;
        }
        node.values.iter_mut().find(|(there, _)| there == filter).map(|(_, value)| value)
    }

    /// Calls `found` for the value of every filter that matches `topic` (§4.7).
    pub fn for_each_match<'a>(&'a self, topic: &str, mut found: impl FnMut(&'a Filter, &'a V)) {
        let mut levels = topic.split('/');
        let first = levels.next().unwrap_or_default();
        // [MQTT-4.7.2-1]: the first level of a `$` name is matched by itself alone.
        if !first.starts_with('$') {
            if let Some(hash) = self.root.children.get("#") {
                hash.visit(&mut found);
            }
            if let Some(plus) = self.root.children.get("+") {
                plus.descend(levels.clone(), &mut found);
            }
        }
        if let Some(exact) = self.root.children.get(first) {
            exact.descend(levels, &mut found);
        }
    }

    /// Every filter with its value, in no order.
    pub fn for_each<'a>(&'a self, mut found: impl FnMut(&'a Filter, &'a V)) {
        fn walk<'a, V>(node: &'a Node<V>, found: &mut impl FnMut(&'a Filter, &'a V)) {
            node.visit(found);
            for child in node.children.values() {
                walk(child, found);
            }
        }
        walk(&self.root, &mut found);
    }

    /// How many filters there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True when there is no filter.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<V> Node<V> {
    fn descend<'a>(&'a self, mut levels: core::str::Split<'_, char>, found: &mut impl FnMut(&'a Filter, &'a V)) {
        if let Some(hash) = self.children.get("#") {
            hash.visit(found); // the parent level included
        }
        let Some(level) = levels.next() else {
            return self.visit(found);
        };
        if let Some(plus) = self.children.get("+") {
            plus.descend(levels.clone(), found);
        }
        if let Some(exact) = self.children.get(level) {
            exact.descend(levels, found);
        }
    }

    fn visit<'a>(&'a self, found: &mut impl FnMut(&'a Filter, &'a V)) {
        for (filter, value) in &self.values {
            found(filter, value);
        }
    }
}

fn remove<V>(node: &mut Node<V>, levels: &[&str], filter: &Filter) -> Option<V> {
    let Some((level, rest)) = levels.split_first() else {
        let at = node.values.iter().position(|(there, _)| there == filter)?;
        return Some(node.values.swap_remove(at).1);
    };
    let child = node.children.get_mut(*level)?;
    let removed = remove(child, rest, filter);
    if child.values.is_empty() && child.children.is_empty() {
        node.children.remove(*level);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::{super::matches, *};

    fn filter(text: &str) -> Filter {
        Filter::new(text).expect("legal filter")
    }

    #[test]
    fn tree_finds_exactly_what_matching_one_by_one_finds() {
        let filters =
            ["#", "+", "+/+", "a", "a/#", "a/+", "a/b", "+/b", "/+", "a//b", "$SYS/#", "$SYS/+", "+/x", "$share/g/a/+"];
        let mut tree = FilterTree::new();
        for text in filters {
            assert_eq!(tree.insert(filter(text), text), None);
        }
        for topic in ["a", "a/b", "a/", "/a", "/", "a//b", "$SYS/x", "$SYS", "a/b/c", "b", "x/b"] {
            let mut found = Vec::new();
            tree.for_each_match(topic, |_, &text| found.push(text));
            found.sort_unstable();
            let mut expected =
                filters.iter().copied().filter(|text| matches(filter(text).pattern(), topic)).collect::<Vec<_>>();
            expected.sort_unstable();
            assert_eq!(found, expected, "{topic}");
        }
    }

    #[test]
    fn removing_leaves_the_others_and_no_empty_branches() {
        let mut tree = FilterTree::new();
        tree.insert(filter("a/b/c"), 1);
        tree.insert(filter("a/b"), 2);
        tree.insert(filter("$share/g/a/b"), 3);
        assert_eq!(tree.insert(filter("a/b"), 4), Some(2));
        assert_eq!(tree.len(), 3);
        assert_eq!(tree.remove(&filter("a/b")), Some(4));
        assert_eq!(tree.remove(&filter("a/b")), None);
        assert_eq!(tree.remove(&filter("a/b/c")), Some(1));
        assert_eq!(tree.get_mut(&filter("$share/g/a/b")), Some(&mut 3));
        assert_eq!(tree.remove(&filter("$share/g/a/b")), Some(3));
        assert!(tree.is_empty() && tree.root.children.is_empty());
    }
}
