//! URLs of proxies.

use karere_link::{Endpoint, NameLookup, Proxy, ProxyKind};

#[test]
fn scheme_says_what_is_spoken_and_who_resolves_names() {
    for (url, kind, lookup, port, tls) in [
        ("http://p", ProxyKind::Http, NameLookup::AtProxy, 8080, None),
        ("p", ProxyKind::Http, NameLookup::AtProxy, 8080, None),
        ("https://p", ProxyKind::Https, NameLookup::AtProxy, 443, Some("p")),
        ("socks4://p", ProxyKind::Socks4, NameLookup::Here, 1080, None),
        ("socks4a://p", ProxyKind::Socks4a, NameLookup::AtProxy, 1080, None),
        ("socks5://p", ProxyKind::Socks5, NameLookup::Here, 1080, None),
        ("socks5h://p", ProxyKind::Socks5h, NameLookup::AtProxy, 1080, None),
        ("socks://p", ProxyKind::Socks5h, NameLookup::AtProxy, 1080, None),
        ("SOCKS5h://p/", ProxyKind::Socks5h, NameLookup::AtProxy, 1080, None),
    ] {
        if tls.is_some() && cfg!(not(feature = "tls")) {
            let error = Proxy::parse(url).unwrap_err().to_string();
            assert!(error.contains("has TLS in its way, which this build does not have"), "{error}");
            continue;
        }
        let proxy = Proxy::parse(url).unwrap();
        assert_eq!((proxy.kind(), proxy.name_lookup(), proxy.tls_host()), (kind, lookup, tls), "{url}");
        assert_eq!(proxy.endpoint(), Endpoint::tcp("p", port), "{url}");
        assert_eq!(proxy, Proxy::new(kind, "p", port), "{url}");
        assert_eq!(Proxy::parse(&proxy.to_string()), Ok(proxy), "{url}");
    }
}

#[test]
fn place_and_credentials_are_read() {
    let proxy = |host: &str, port| Proxy::new(ProxyKind::Http, host, port);
    for (url, expected) in [
        ("http://p:3128/", proxy("p", 3128)),
        ("p:3128", proxy("p", 3128)),
        ("http://[::1]:1", proxy("::1", 1)),
        ("http://u@p", proxy("p", 8080).user_name("u")),
        ("u:p@p", proxy("p", 8080).user_name("u").password("p")),
        ("http://u%40:%2F%3Aü@p:1", proxy("p", 1).user_name("u@").password("/:ü")),
        ("http://u:a:b@c@p:1", proxy("p", 1).user_name("u").password("a:b@c")),
        ("http://:pw@p", proxy("p", 8080).user_name("").password("pw")),
        ("http://@p", proxy("p", 8080)),
    ] {
        assert_eq!(Proxy::parse(url).unwrap(), expected, "{url}");
    }
}

#[test]
fn nonsense_is_refused_and_no_secret_is_repeated() {
    let long = format!("socks5://u:{}@p", "secret".repeat(50));
    for (url, why) in [
        ("", "names no host"),
        ("http://", "names no host"),
        ("mqtt://p", "scheme of no proxy"),
        ("socks6://u:secret@p", "scheme of no proxy"),
        ("http://p:0", "port"),
        ("http://p:65536", "port"),
        ("http://[::1", "bracket"),
        ("http://::1", "IPv6 address without brackets"),
        ("http://p/path", "path"),
        ("http://u:sec/ret@p", "write %2F"),
        ("http://u:secret%@p", "percent-encoding"),
        ("http://u:%ff@p", "percent-encoding"),
        ("http://a b", "characters"),
        ("http://p?secret=x", "characters"),
        ("http://p#x", "characters"),
        ("http://a%3Ab:secret@p", "user name with a colon"),
        ("socks4://u:secret@p", "password, which SOCKS 4 does not know"),
        ("socks4://a%00b@p", "null character"),
        (&long, "password of more than 255 bytes"),
        // A forgotten host, or scheme: what stands where a port should may be a password.
        ("http://u:secret", "port"),
        ("u:secret", "port"),
        ("socks5://u:secret@", "names no host"),
        ("http:u:secret@p", "percent"),
        ("://u:secret@p", "scheme of no proxy"),
    ] {
        let error = match Proxy::parse(url) {
            Err(error) => format!("{error} {error:?}"),
            Ok(proxy) => {
                assert_eq!(url, "http:u:secret@p");
                format!("{proxy:?} {proxy} percent")
            }
        };
        assert!(error.contains(why), "{url}: {error}");
        assert!(!error.contains("secret") || url.contains('?'), "{error}");
    }
    let error = Proxy::parse("http://p:70000").unwrap_err().to_string();
    assert!(error.contains("p:70000"), "a wrong port is shown: {error}");
}
