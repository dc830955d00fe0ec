//! Which server the next attempt goes to: rounds over the configured servers, and what servers refer to.

mod domains;

use core::fmt;
use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use karere_proto::Utf8String;

use self::domains::Known;
use crate::{
    backoff::Rng,
    class::{Class, Permanence},
    endpoint::{Endpoint, InvalidUrl, MQTT_PORT, place},
    policy::Redirect,
    transport::{Security, Transport},
    url::Url,
};

/// A server and who to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How MQTT travels there.
    pub transport: Transport,
    /// Who to be there; `None` is who the session says.
    pub credentials: Option<Credentials>,
    /// When it is tried.
    pub rank: Rank,
    /// The domain that it stands for, if its name servers have named it.
    domain: Option<Arc<Self>>,
}

impl Server {
    /// A server of the best rank, over TCP or a Unix socket alone, where the client is who its session says.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, transport: Transport::default(), credentials: None, rank: Rank::new(0, 1), domain: None }
    }

    /// As it is, over this transport.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Reads a URL, its credentials included; see [`Url::parse`]. A client identifier in it is the session's business, and
    /// left out.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong and what would be right.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let Url { endpoint, transport, user_name, password, client_id: _ } = Url::parse(url)?;
        let mut server = Self::new(endpoint).transport(transport);
        if user_name.is_some() || password.is_some() {
            let user_name = user_name.as_deref().map(Utf8String::new).transpose();
            let user_name = user_name.map_err(|why| InvalidUrl::new(url, &format!("has a user name that {why}")))?;
            server.credentials = Some(Credentials::new(user_name, password.map(Bytes::from)));
        }
        Ok(server)
    }

    /// As it is, with this rank.
    #[must_use]
    pub const fn rank(mut self, rank: Rank) -> Self {
        self.rank = rank;
        self
    }

    /// As it is, for someone with these credentials.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }
}

/// User name and password; the password never appears in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The user name (§3.1.3.5).
    pub user_name: Option<Utf8String>,
    /// The password (§3.1.3.6).
    pub password: Option<Bytes>,
}

impl Credentials {
    /// These.
    pub const fn new(user_name: Option<Utf8String>, password: Option<Bytes>) -> Self {
        Self { user_name, password }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .finish()
    }
}

/// When a server is tried, in the words and with the meaning of RFC 2782.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Rank {
    /// Servers of a lower number are tried first; when all of them fail, those of the next.
    pub priority: u16,
    /// Among servers of one priority, the share of the clients that try this one first. 0 is almost none.
    pub weight: u16,
}

impl Rank {
    /// This rank.
    pub const fn new(priority: u16, weight: u16) -> Self {
        Self { priority, weight }
    }
}

/// References followed in a row, at most: more is a chain that somebody built to lead nowhere.
const MOST_HOPS: usize = 8;

/// Which server the next attempt goes to.
#[derive(Debug)]
pub(crate) struct Route {
    servers: Vec<Server>,
    redirect: Redirect,
    /// Servers that have moved for good, and where to.
    moved: Vec<(Endpoint, Vec<Server>)>,
    current: Server,
    /// What is left of this round.
    left: VecDeque<Server>,
    /// The mildest of what this round's servers have said: it decides how long to wait for the next round.
    said: Option<Class>,
    /// Where references came from since the last stable connection or round: following one back would be a loop.
    visited: Vec<Endpoint>,
    /// What the name servers of domains have said last.
    known: Vec<Known>,
}

impl Route {
    /// A route to these servers; none would be nowhere to go, and is ignored by [`Route::set_servers`].
    pub(crate) fn new(servers: Vec<Server>, redirect: Redirect) -> Self {
        let current = servers.first().cloned().unwrap_or_else(|| Server::new(Endpoint::local()));
        let servers = if servers.is_empty() { vec![current.clone()] } else { servers };
        Self {
            servers,
            redirect,
            moved: Vec::new(),
            current,
            left: VecDeque::new(),
            said: None,
            visited: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Where the present attempt or connection goes, or the last one went.
    pub(crate) const fn current(&self) -> &Server {
        &self.current
    }

    /// What the application has answered for the present attempt.
    pub(crate) fn refreshed(&mut self, server: Server) {
        self.current = server;
    }

    pub(crate) fn set_servers(&mut self, servers: Vec<Server>) {
        if servers.is_empty() {
            return;
        }
        self.servers = servers;
        self.moved.clear();
        self.known.clear();
        self.left.clear();
    }

    /// Changes the place alone: transport and credentials stay those of the best server.
    pub(crate) fn set_endpoint(&mut self, endpoint: Endpoint) {
        if let Some(best) = self.servers.iter().min_by_key(|server| server.rank.priority).cloned() {
            self.set_servers(vec![Server { endpoint, ..best }]);
        }
    }

    pub(crate) const fn set_redirect(&mut self, redirect: Redirect) {
        self.redirect = redirect;
    }

    /// Begins a new round, and goes to its first server.
    pub(crate) fn begin(&mut self, rng: &mut Rng) {
        self.visited.clear();
        self.said = None;
        self.left = self.places(drawn(&self.servers, rng));
        self.advance();
    }

    /// Begins a new round because the present server sends the client away: it comes last, as do those that have done so
    /// since the last stable connection. False when that is all of them: then it is time to wait.
    pub(crate) fn begin_elsewhere(&mut self, rng: &mut Rng) -> bool {
        let mut left_behind = core::mem::take(&mut self.visited);
        left_behind.push(self.current.endpoint.clone());
        self.begin(rng);
        self.left.push_front(self.current.clone());
        self.left.make_contiguous().sort_by_key(|server| left_behind.contains(&server.endpoint));
        self.visited = left_behind;
        self.advance();
        !self.visited.contains(&self.current.endpoint)
    }

    /// Notes what came of the attempt, and goes to the round's next server; false when there is none.
    pub(crate) fn next(&mut self, class: Class) -> bool {
        self.said = Some(self.said.map_or(class, |said| said.min(class)));
        self.advance()
    }

    /// What the round's servers have said, the mildest of it.
    pub(crate) fn verdict(&self) -> Class {
        self.said.unwrap_or(Class::Passing)
    }

    /// Follows a Server Reference; false when it is not to be followed, or leads nowhere new.
    pub(crate) fn follow(&mut self, references: Option<&str>, permanence: Permanence) -> bool {
        if self.redirect == Redirect::Never {
            return false;
        }
        let from = self.current.endpoint.clone();
        let named = references.map_or_else(Vec::new, |references| self.current.referred(references));
        if !named.is_empty() && self.redirect == Redirect::Remember && permanence == Permanence::ForGood {
            self.moved.retain(|(moved, _)| *moved != from);
            self.moved.push((from.clone(), named.clone()));
        }
        self.visited.push(from);
        let mut targets = Vec::new();
        for target in named {
            if self.visited.len() + targets.len() <= MOST_HOPS && !self.visited.contains(&target.endpoint) {
                targets.push(target);
            }
        }
        let follows = !targets.is_empty();
        for target in targets.into_iter().rev() {
            self.left.retain(|server| server.endpoint != target.endpoint);
            self.left.push_front(target);
        }
        follows && self.advance()
    }

    /// The connection was stable: references may lead anywhere again.
    pub(crate) fn settled(&mut self) {
        self.visited.clear();
    }

    /// These servers, before each that has moved for good its new places.
    fn places(&self, servers: VecDeque<Server>) -> VecDeque<Server> {
        if self.redirect != Redirect::Remember {
            return servers;
        }
        let new_places = |server: &Server| {
            let to = self.moved.iter().find(|(from, _)| *from == server.endpoint).map_or(&[][..], |(_, to)| to);
            let mut places = to.iter().map(|to| server.at(to)).collect::<Vec<_>>();
            places.push(server.clone()); // the old place last: it may serve again
            places
        };
        servers.iter().flat_map(new_places).collect()
    }

    fn advance(&mut self) -> bool {
        match self.left.pop_front() {
            Some(server) => {
                self.current = server;
                true
            }
            None => false,
        }
    }
}

impl Server {
    /// The same service at another place.
    fn at(&self, place: &Self) -> Self {
        Self { endpoint: place.endpoint.clone(), transport: place.transport.clone(), ..self.clone() }
    }

    /// The servers that this one refers to: `name[:port]`, separated by spaces, IPv6 in brackets (§4.11), or URLs. Transport
    /// and port are this server's unless given. What is none is left out; so is every place that is not reached over the
    /// network, since a server does not choose this machine's sockets, and what would lead from TLS to plain text.
    fn referred(&self, references: &str) -> Vec<Self> {
        let own_port = match &self.endpoint {
            Endpoint::Tcp { port, .. } => *port,
            Endpoint::Service(_) | Endpoint::Unix(_) => MQTT_PORT,
        };
        let read = |reference: &str| match Url::parse(reference) {
            Ok(url) => Some(Self { endpoint: url.endpoint, transport: url.transport, ..self.clone() }),
            Err(_) => place(reference, own_port).ok().map(|endpoint| Self { endpoint, ..self.clone() }),
        };
        let safe = |server: &Self| {
            server.endpoint.is_plausible()
                && (self.transport.security == Security::None || server.transport.security == Security::Tls)
        };
        references.split_ascii_whitespace().filter_map(read).filter(safe).collect()
    }
}

/// The servers in an order drawn by RFC 2782: by priority, and among equals by weight.
fn drawn(servers: &[Server], rng: &mut Rng) -> VecDeque<Server> {
    let mut left = servers.iter().collect::<Vec<_>>();
    // Stable: equals keep the order of the configuration. Those of weight 0 stand first, so that only a draw of 0 takes
    // them.
    left.sort_by_key(|server| (server.rank.priority, server.rank.weight > 0));
    let mut order = VecDeque::with_capacity(left.len());
    while let Some(first) = left.first() {
        let priority = first.rank.priority;
        let equals = left.iter().take_while(|server| server.rank.priority == priority);
        let mut sums = equals.scan(0, |sum, server| {
            *sum += u64::from(server.rank.weight);
            Some(*sum)
        });
        let total = sums.clone().last().unwrap_or(0);
        let draw = rng.below(total + 1);
        let at = sums.position(|sum| sum >= draw).unwrap_or(0);
        order.push_back(left.remove(at).clone());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, priority: u16, weight: u16) -> Server {
        Server::new(Endpoint::tcp(host, 1883)).rank(Rank::new(priority, weight))
    }

    fn route(servers: &[Server], redirect: Redirect) -> (Route, Rng) {
        let mut route = Route::new(servers.to_vec(), redirect);
        let mut rng = Rng::new(5);
        route.begin(&mut rng);
        (route, rng)
    }

    fn at(route: &Route) -> String {
        route.current().endpoint.to_string()
    }

    fn rest(route: &mut Route) -> Vec<String> {
        let mut rest = vec![at(route)];
        while route.next(Class::Passing) {
            rest.push(at(route));
        }
        rest
    }

    #[test]
    fn a_round_goes_by_priority_whatever_the_order_of_configuration() {
        let servers = [server("c", 7, 1), server("a", 0, 1), server("b", 3, 9)];
        let (mut route, mut rng) = route(&servers, Redirect::Never);
        assert_eq!(rest(&mut route), ["a:1883", "b:1883", "c:1883"]);
        assert!(!route.next(Class::Passing), "each once");
        route.begin(&mut rng);
        assert_eq!(at(&route), "a:1883");
    }

    #[test]
    fn among_equals_the_weight_is_the_share_of_being_first() {
        let servers = [server("light", 0, 1), server("heavy", 0, 3), server("never", 0, 0)];
        let mut route = Route::new(servers.to_vec(), Redirect::Never);
        let mut rng = Rng::new(11);
        let (mut heavy, mut never) = (0, 0);
        for _ in 0..4000 {
            route.begin(&mut rng);
            heavy += usize::from(at(&route) == "heavy:1883");
            never += usize::from(at(&route) == "never:1883");
            assert_eq!(rest(&mut route).len(), 3);
        }
        // RFC 2782 draws from 0 to 4: 3 of 5 for the heavy one, 1 of 5 for a draw of 0, which takes weight 0.
        assert!((2250..2550).contains(&heavy), "{heavy}");
        assert!((650..950).contains(&never), "{never}");
    }

    #[test]
    fn the_mildest_answer_of_a_round_decides() {
        let (mut route, _) = route(&[server("a", 0, 1), server("b", 1, 1)], Redirect::Never);
        assert!(route.next(Class::Unacceptable));
        assert!(!route.next(Class::Denied));
        assert_eq!(route.verdict(), Class::Denied);
    }

    #[test]
    fn references_are_tried_first_and_with_the_credentials_of_who_gave_them() {
        let credentials = Credentials::new(Some(Utf8String::new("me").expect("legal")), None);
        let servers = [server("a", 0, 1).credentials(credentials.clone()), server("b", 1, 1)];
        let (mut route, _) = route(&servers, Redirect::Once);
        assert!(route.follow(Some("x:1 [::1]:2 y"), Permanence::ThisTime));
        assert_eq!(route.current().credentials, Some(credentials));
        assert_eq!(rest(&mut route), ["x:1", "[::1]:2", "y:1883", "b:1883"]);
    }

    #[test]
    fn references_are_places_on_the_network_with_this_servers_port_unless_they_name_one() {
        let places = |from: &Server, references| {
            from.referred(references).iter().map(|to| to.endpoint.to_string()).collect::<Vec<_>>()
        };
        let from = Server::new(Endpoint::tcp("h", 8000));
        assert_eq!(
            places(&from, "a  b:2\t[::1] [::2]:3 mqtt://u@d:4"),
            ["a:8000", "b:2", "[::1]:8000", "[::2]:3", "d:4"]
        );
        assert_eq!(places(&from, " b:0 ::1 [x] unix:///run/x :7 http://z ? "), Vec::<String>::new());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn references_do_not_lead_from_tls_to_plain_text() {
        let from = Server::parse("mqtts://h").expect("legal");
        let to = from.referred("a mqtt://b mqtts://c");
        assert_eq!(to.iter().map(|to| to.endpoint.to_string()).collect::<Vec<_>>(), ["a:8883", "c:8883"]);
        assert!(to.iter().all(|to| to.transport.security == Security::Tls));
    }

    #[test]
    fn references_in_a_circle_are_followed_once_round() {
        let (mut route, mut rng) = route(&[server("a", 0, 1)], Redirect::Once);
        assert!(route.follow(Some("b"), Permanence::ThisTime));
        assert!(route.follow(Some("c"), Permanence::ThisTime));
        assert!(!route.follow(Some("a b c"), Permanence::ThisTime), "that is where it came from");
        route.begin(&mut rng);
        assert!(route.follow(Some("b"), Permanence::ThisTime), "a new round may try again");
    }

    #[test]
    fn a_chain_of_references_without_end_is_left() {
        let (mut route, _) = route(&[server("a", 0, 1)], Redirect::Once);
        let hops = (0..100).take_while(|hop| route.follow(Some(&format!("h{hop}")), Permanence::ThisTime)).count();
        assert_eq!(hops, MOST_HOPS);
    }

    #[test]
    fn references_are_not_followed_when_that_is_the_policy_or_there_are_none() {
        let (mut route, _) = route(&[server("a", 0, 1)], Redirect::Never);
        assert!(!route.follow(Some("b"), Permanence::ThisTime));
        route.set_redirect(Redirect::Once);
        assert!(!route.follow(None, Permanence::ForGood));
        assert!(!route.follow(Some(" "), Permanence::ForGood));
        assert!(
            !route.follow(Some("b:0 :: unix:///tmp/x ? http://y"), Permanence::ForGood),
            "none of them is a server"
        );
    }

    #[test]
    fn a_move_for_good_is_remembered_when_that_is_the_policy() {
        for (policy, permanence, expected) in [
            (Redirect::Once, Permanence::ForGood, vec!["a:1883", "z:1883"]),
            (Redirect::Remember, Permanence::ThisTime, vec!["a:1883", "z:1883"]),
            (Redirect::Remember, Permanence::ForGood, vec!["b:1883", "a:1883", "z:1883"]),
        ] {
            let (mut route, mut rng) = route(&[server("a", 0, 1), server("z", 1, 1)], policy);
            assert!(route.follow(Some("b"), permanence));
            route.begin(&mut rng);
            assert_eq!(rest(&mut route), expected, "{policy:?} {permanence:?}");
        }
    }

    #[test]
    fn a_server_that_goes_away_comes_last() {
        let (mut route, mut rng) = route(&[server("a", 0, 1), server("b", 1, 1)], Redirect::Never);
        assert!(route.begin_elsewhere(&mut rng));
        assert_eq!(rest(&mut route), ["b:1883", "a:1883"]);
    }

    #[test]
    fn when_all_servers_send_the_client_away_there_is_nowhere_to_go() {
        let (mut route, mut rng) = route(&[server("a", 0, 1), server("b", 1, 1)], Redirect::Never);
        assert!(route.begin_elsewhere(&mut rng));
        assert!(!route.begin_elsewhere(&mut rng));
        route.settled();
        assert!(route.begin_elsewhere(&mut rng));
    }

    #[test]
    fn better_servers_are_those_of_a_lower_priority_number() {
        let (mut route, mut rng) = route(&[server("a", 0, 1), server("b", 1, 1), server("c", 1, 1)], Redirect::Never);
        assert!(!route.has_better());
        assert!(route.next(Class::Passing));
        assert!(route.has_better());
        assert_eq!(route.better(&mut rng), [server("a", 0, 1)]);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn another_place_is_spoken_to_as_the_best_server_was() {
        let credentials = Credentials::new(Utf8String::new("me").ok(), Some("secret".into()));
        let best = Server::parse("mqtts://a").expect("legal").credentials(credentials.clone());
        let (mut route, mut rng) = route(&[server("b", 1, 1), best], Redirect::Never);
        route.set_endpoint(Endpoint::tcp("c", 7));
        route.begin(&mut rng);
        assert_eq!((at(&route).as_str(), route.current().transport.security), ("c:7", Security::Tls));
        assert_eq!(route.current().credentials, Some(credentials));
        assert!(!route.next(Class::Passing), "in place of all others");
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let credentials = Credentials::new(Utf8String::new("me").ok(), Some("secret".into()));
        assert!(!format!("{:?}", server("a", 0, 1).credentials(credentials)).contains("secret"));
    }
}
