//! Which proxy the environment names for which server.

use karere_link::{Endpoint, Framing, InvalidVariable, Proxies, Security, Transport};

fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, InvalidVariable> {
    let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Proxies::from_environment(value)
}

/// Through what hosts servers of mqtt, mqtts, ws and wss are reached.
fn hosts(proxies: &Proxies) -> [Option<String>; 4] {
    let websocket = || Framing::WebSocket { path: "/mqtt".to_owned() };
    [
        (Security::None, Framing::None),
        (Security::Tls, Framing::None),
        (Security::None, websocket()),
        (Security::Tls, websocket()),
    ]
    .map(|(security, framing)| {
        let mut transport = Transport::default();
        transport.security = security;
        transport.framing = framing;
        let proxy = proxies.proxy_for(&Endpoint::tcp("broker.example", 1883), &transport);
        proxy.map(|proxy| proxy.endpoint().to_string().replace(":8080", ""))
    })
}

#[test]
fn first_variable_of_each_row_counts() {
    for (variables, expected) in [
        (&[][..], ["", "", "", ""]),
        (&[("all_proxy", "a")], ["a", "a", "a", "a"]),
        (&[("ALL_PROXY", "a")], ["a", "a", "a", "a"]),
        (&[("http_proxy", "h")], ["", "", "h", ""]),
        (&[("HTTP_PROXY", "h")], ["", "", "", ""]),
        (&[("https_proxy", "s")], ["", "s", "", "s"]),
        (&[("HTTPS_PROXY", "s")], ["", "s", "", "s"]),
        (&[("mqtt_proxy", "m")], ["m", "m", "m", "m"]),
        (&[("MQTT_PROXY", "m"), ("all_proxy", "a"), ("https_proxy", "s")], ["m", "m", "m", "m"]),
        (&[("mqtts_proxy", "t")], ["", "t", "", ""]),
        (&[("ws_proxy", "w")], ["", "", "w", ""]),
        (&[("WSS_PROXY", "w")], ["", "", "", "w"]),
        (
            &[
                ("mqtt_proxy", "m"),
                ("mqtts_proxy", "t"),
                ("ws_proxy", "w"),
                ("wss_proxy", "x"),
                ("http_proxy", "h"),
                ("https_proxy", "s"),
                ("all_proxy", "a"),
            ],
            ["m", "t", "w", "x"],
        ),
        (&[("http_proxy", "h"), ("https_proxy", "s"), ("all_proxy", "a")], ["a", "s", "h", "s"]),
        (&[("mqtt_proxy", "m"), ("MQTT_PROXY", "M")], ["m", "m", "m", "m"]),
        (&[("mqtt_proxy", ""), ("MQTT_PROXY", "M"), ("all_proxy", " a ")], ["a", "a", "a", "a"]),
        (&[("mqtt_proxy", "  ")], ["", "", "", ""]),
        (&[("all_proxy", "a"), ("no_proxy", "example")], ["", "", "", ""]),
        (&[("all_proxy", "a"), ("NO_PROXY", "broker.example:1883")], ["", "", "", ""]),
        (&[("all_proxy", "a"), ("no_proxy", ""), ("NO_PROXY", "*")], ["a", "a", "a", "a"]),
    ] {
        let found = hosts(&proxies(variables).unwrap()).map(Option::unwrap_or_default);
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[test]
fn variable_that_is_no_url_is_named_and_its_secret_is_not() {
    for name in ["mqtt_proxy", "MQTTS_PROXY", "ws_proxy", "wss_proxy", "http_proxy", "HTTPS_PROXY", "all_proxy"] {
        for value in ["ftp://u:secret@p", "http://u:secret@p:0", "http://u:secret", "u:secret"] {
            let error = proxies(&[(name, value)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.starts_with(&format!("environment variable {name}: URL ")), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
    assert_eq!(proxies(&[("HTTP_PROXY", "://"), ("no_proxy", "://,/,:")]).unwrap(), Proxies::none());
}
