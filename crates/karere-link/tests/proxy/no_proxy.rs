//! Which servers are reached directly.

use karere_link::{Endpoint, Proxies, Proxy, ProxyKind, Transport};

fn direct(list: &str, host: &str, port: u16) -> bool {
    let proxies = Proxies::all(Proxy::new(ProxyKind::Http, "p", 1)).except(list);
    proxies.proxy_for(&Endpoint::tcp(host, port), &Transport::default()).is_none()
}

#[test]
fn entries_name_hosts_domains_addresses_ranges_and_ports() {
    for (list, inside, outside) in [
        ("", &[][..], &["h", "localhost", "127.0.0.1", "::1"][..]),
        ("*", &["h", "localhost", "127.0.0.1", "::1"], &[]),
        ("x, *", &["h"], &[]),
        ("x.org", &["x.org", "X.ORG", "a.x.org", "a.b.x.org", "x.org."], &["ax.org", "x.org.a", "x", "org", "x.orga"]),
        (".x.org", &["x.org", "a.x.org"], &["ax.org"]),
        ("*.x.org", &["x.org", "a.x.org"], &["ax.org"]),
        ("X.Org.", &["x.org", "a.x.org."], &[]),
        ("org", &["x.org", "org"], &["orgx"]),
        ("localhost", &["localhost", "a.localhost"], &["127.0.0.1", "::1"]),
        ("127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"], &["localhost", "127.0.0.2", "1.127.0.0.1"]),
        ("0.1", &[], &["127.0.0.1"]),
        ("127.0.0.0/8", &["127.0.0.1", "127.255.0.9", "::ffff:127.1.1.1"], &["128.0.0.1", "localhost", "::1"]),
        ("192.168.0.0/23", &["192.168.0.0", "192.168.1.255"], &["192.168.2.0", "192.167.255.255"]),
        ("192.168.1.9/24", &["192.168.1.1"], &["192.168.0.1"]),
        ("10.0.0.1/32", &["10.0.0.1"], &["10.0.0.0", "10.0.0.2"]),
        ("0.0.0.0/0", &["10.0.0.1", "255.255.255.255"], &["::1", "h"]),
        ("::/0", &["::1", "2001:db8::1"], &["10.0.0.1", "h"]),
        ("::1", &["::1", "0:0:0:0:0:0:0:1"], &["::2", "127.0.0.1"]),
        ("[::1]", &["::1"], &["::2"]),
        ("fe80::/10", &["fe80::1", "fe80::1%eth0", "febf::"], &["fec0::1"]),
        ("[2001:db8::]/33", &["2001:db8::1", "2001:db8:7fff::"], &["2001:db8:8000::"]),
        ("::1/128", &["::1"], &["::2", "::"]),
        ("::ffff:10.0.0.0/104", &["10.1.2.3", "::ffff:10.0.0.1"], &["11.0.0.1"]),
        ("x,y z\t10.0.0.1\n,,", &["x", "y", "z", "10.0.0.1"], &["w"]),
    ] {
        for host in inside {
            assert!(direct(list, host, 1883), "{list:?} has {host}");
        }
        for host in outside {
            assert!(!direct(list, host, 1883), "{list:?} does not have {host}");
        }
    }
}

#[test]
fn entries_may_name_a_port() {
    for (list, host) in
        [("x.org:1883", "a.x.org"), (".x.org:1883", "x.org"), ("10.0.0.1:1883", "10.0.0.1"), ("[::1]:1883", "::1")]
    {
        assert!(direct(list, host, 1883), "{list}");
        assert!(!direct(list, host, 8883), "{list}");
    }
}

#[test]
fn what_is_no_entry_is_ignored() {
    let list =
        ". .. *. *.. 10.0.0.0/33 ::1/129 10.0.0.0/ /8 /  x:y x:70000 x:-1 10.0.0.0/-1 10.0.0.0/8/9 [::1 x/8 [] []:1";
    for host in ["x", "10.0.0.0", "::1", "h"] {
        assert!(!direct(list, host, 1), "{host}");
    }
    assert!(direct(&format!("{list},h"), "h", 1));
}

#[test]
fn unix_sockets_are_reached_directly() {
    let proxies = Proxies::all(Proxy::new(ProxyKind::Http, "p", 1));
    assert!(proxies.proxy_for(&Endpoint::Unix("/run/x".into()), &Transport::default()).is_none());
    assert!(proxies.proxy_for(&Endpoint::tcp("h", 1), &Transport::default()).is_some());
    assert!(Proxies::none().proxy_for(&Endpoint::tcp("h", 1), &Transport::default()).is_none());
}
