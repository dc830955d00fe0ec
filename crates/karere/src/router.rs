//! Which closures a message goes to.

use std::sync::{Arc, Mutex, PoisonError};

use karere_proto::{Filter, topic::FilterTree};

use crate::sync::{Client, Message};

/// A closure that is called with messages. It is locked while it runs, and nothing else is.
pub(crate) type Route = Arc<Mutex<dyn FnMut(&Client, &Message) + Send>>;

/// Closures by filter. Routes may be added and removed at any time, from within routes too.
#[derive(Default)]
pub(crate) struct Router {
    routes: Mutex<FilterTree<Route>>,
}

impl Router {
    pub(crate) fn add(&self, filter: Filter, route: Route) {
        let _replaced = self.lock().insert(filter, route);
    }

    /// True when there was one.
    pub(crate) fn remove(&self, filter: &Filter) -> bool {
        self.lock().remove(filter).is_some()
    }

    /// Collects the routes of every filter that matches `topic`; they are called after the lock is gone.
    pub(crate) fn matching(&self, topic: &str, found: &mut Vec<Route>) {
        let routes = self.lock();
        if !routes.is_empty() {
            routes.for_each_match(topic, |_, route| found.push(Arc::clone(route)));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FilterTree<Route>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl core::fmt::Debug for Router {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Router").field("routes", &self.lock().len()).finish()
    }
}
