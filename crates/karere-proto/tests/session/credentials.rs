//! Who the next CONNECT says it is; nothing else changes.

use bytes::Bytes;
use karere_proto::{
    Utf8String, Version,
    session::{CloseCause, ConfigError, FallBack},
};

use super::kit::*;

fn user(name: &str) -> Option<Utf8String> {
    Some(text(name))
}

fn secret(secret: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(secret.as_bytes()))
}

fn next_connect_says_them(version: Version) {
    let mut talk = Talk::connected(version);
    for (name, password) in
        [(user("one"), secret("1")), (user("two"), secret("2")), (user("three"), None), (None, None)]
    {
        talk.session.set_credentials(name.clone(), password.clone()).unwrap();
        assert!(talk.session.is_connected(), "this connection goes on");
        talk.client_says([]);
        talk.drops_connection();
        let connect = talk.opens();
        assert_eq!((connect.user_name, connect.password), (name, password));
        talk.server_says("CONNACK present");
    }
}

fn rest_of_the_configuration_stays(version: Version) {
    let mut config = config(version);
    config.connect.keep_alive = 17;
    config.connect.will = Some(message("gone", Q1).into());
    let mut talk = Talk::new(config.clone());
    talk.session.set_credentials(user("user"), secret("secret")).unwrap();
    config.connect.user_name = user("user");
    config.connect.password = secret("secret");
    assert_eq!(talk.session.config().connect, config.connect);
    talk.opens();
    // While CONNACK is awaited too.
    talk.session.set_credentials(user("other"), None).unwrap();
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    talk.drops_connection();
    let connect = talk.opens();
    assert_eq!((connect.user_name, connect.will, connect.keep_alive), (user("other"), config.connect.will, 17));
}

fn too_long_a_password_changes_nothing(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.session.set_credentials(user("user"), secret("secret")).unwrap();
    let refused = talk.session.set_credentials(user("other"), Some(Bytes::from(vec![0; 65_536])));
    assert_eq!(refused, Err(ConfigError::TooLong("password", 65_536)));
    let connect = talk.opens();
    assert_eq!((connect.user_name, connect.password), (user("user"), secret("secret")));
}

fn password_needs_a_user_name(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.session.set_credentials(user("user"), secret("secret")).unwrap();
    let refused = talk.session.set_credentials(None, secret("token"));
    assert_eq!(refused, Err(ConfigError::PasswordWithoutUserName(version)));
    let connect = talk.opens();
    assert_eq!((connect.user_name, connect.password), (user("user"), secret("secret")));
}

#[test]
fn password_alone_is_legal_in_5() {
    let mut talk = Talk::new(config(Version::V5));
    talk.session.set_credentials(None, secret("token")).unwrap();
    let connect = talk.opens();
    assert_eq!((connect.user_name, connect.password), (None, secret("token")));
}

#[test]
fn credentials_hold_in_the_version_in_use_and_in_the_configured_one() {
    let mut config = config(Version::V5);
    config.fall_back = FallBack::Downward;
    let mut talk = Talk::new(config);
    talk.opens();
    talk.drops_connection();
    let refused = talk.session.set_credentials(None, secret("token"));
    assert_eq!(refused, Err(ConfigError::PasswordWithoutUserName(Version::V311)));
    talk.session.set_credentials(user("user"), secret("secret")).unwrap();
    assert_eq!(talk.session.config().connect.version, Version::V5, "the configured version stays");
    for version in [Version::V311, Version::V5] {
        let connect = talk.opens();
        assert_eq!((connect.version, connect.user_name, connect.password), (version, user("user"), secret("secret")));
        // No answer at all: back to the configured version.
        talk.session.handle_closed(CloseCause::Abandoned);
        talk.listen();
    }
}

every_version! { next_connect_says_them, rest_of_the_configuration_stays, too_long_a_password_changes_nothing }
before_5! { password_needs_a_user_name }
