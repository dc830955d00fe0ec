//! Who wants which messages: ordinary and shared subscriptions of all sessions.

use karere_proto::{
    Filter, QoS,
    packet::{SubscribeOptions, Subscription},
    topic::FilterTree,
};

use crate::session::SessionId;

/// The subscriptions of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    tree: FilterTree<Subscribers>,
    /// Shared filters that match, while a message is matched.
    shared: Vec<Filter>,
}

/// All that subscribed to one filter, first come first.
#[derive(Debug, Default)]
struct Subscribers {
    members: Vec<Subscriber>,
    /// Whose turn it is, for shared subscriptions.
    turn: usize,
}

#[derive(Clone, Copy, Debug)]
struct Subscriber {
    session: SessionId,
    options: SubscribeOptions,
    identifier: Option<u32>,
}

/// One session that gets a message, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) session: SessionId,
    /// The highest QoS of all its subscriptions that match [MQTT-3.3.4-2].
    pub(crate) qos: QoS,
    /// One of them has Retain As Published.
    pub(crate) retain_as_published: bool,
    /// The identifiers of all of them [MQTT-3.3.4-4].
    pub(crate) identifiers: Vec<u32>,
}

/// Whether a subscription was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    New,
    Replaced,
}

impl Subscriptions {
    pub(crate) fn insert(
        &mut self,
        session: SessionId,
        subscription: Subscription,
        identifier: Option<u32>,
    ) -> Subscribed {
        let Subscription { filter, options, .. } = subscription;
        let subscriber = Subscriber { session, options, identifier };
        let Some(subscribers) = self.tree.get_mut(&filter) else {
            self.tree.insert(filter, Subscribers { members: vec![subscriber], turn: 0 });
            return Subscribed::New;
        };
        match subscribers.members.iter_mut().find(|member| member.session == session) {
            Some(member) => {
                *member = subscriber;
                Subscribed::Replaced
            }
            None => {
                subscribers.members.push(subscriber);
                Subscribed::New
            }
        }
    }

    /// Ends a subscription; does nothing when there is none.
    pub(crate) fn remove(&mut self, session: SessionId, filter: &Filter) {
        let Some(subscribers) = self.tree.get_mut(filter) else {
            return;
        };
        subscribers.members.retain(|member| member.session != session);
        if subscribers.members.is_empty() {
            self.tree.remove(filter);
        }
    }

    /// Appends who gets a message to `topic` that `publisher` sent: each session once, in the order they began.
    ///
    /// Of a shared subscription the next member in turn gets it, one that is `online` if there is any.
    pub(crate) fn recipients(
        &mut self,
        topic: &str,
        publisher: Option<SessionId>,
        online: impl Fn(SessionId) -> bool,
        out: &mut Vec<Recipient>,
    ) {
        let Self { tree, shared, .. } = self;
        tree.for_each_match(topic, |filter, subscribers| {
            if filter.share().is_some() {
                return shared.push(filter.clone());
            }
            let wanted = |member: &&Subscriber| !(member.options.no_local && publisher == Some(member.session));
            out.extend(subscribers.members.iter().filter(wanted).map(Subscriber::recipient));
        });
        for filter in shared.drain(..) {
            out.extend(tree.get_mut(&filter).and_then(|subscribers| subscribers.next(&online)));
        }
        if out.len() > 1 {
            out.sort_by_key(|recipient| recipient.session);
            out.dedup_by(|later, first| {
                let same = later.session == first.session;
                if same {
                    first.merge(later);
                }
                same
            });
        }
    }
}

impl Subscribers {
    fn next(&mut self, online: impl Fn(SessionId) -> bool) -> Option<Recipient> {
        let count = self.members.len();
        let turns = (0..count).map(|step| (self.turn + step) % count);
        let chosen = turns.clone().find(|&at| online(self.members[at].session)).or_else(|| turns.clone().next())?;
        self.turn = (chosen + 1) % count;
        Some(self.members[chosen].recipient())
    }
}

impl Subscriber {
    fn recipient(&self) -> Recipient {
        Recipient {
            session: self.session,
            qos: self.options.qos,
            retain_as_published: self.options.retain_as_published,
            identifiers: self.identifier.into_iter().collect(),
        }
    }
}

impl Recipient {
    fn merge(&mut self, other: &mut Self) {
        self.qos = self.qos.max(other.qos);
        self.retain_as_published |= other.retain_as_published;
        self.identifiers.append(&mut other.identifiers);
    }
}
