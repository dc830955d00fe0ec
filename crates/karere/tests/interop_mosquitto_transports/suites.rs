//! The part of the suite where a transport could make a difference. What goes through the suite's own TCP proxy is in
//! `payloads`.

/// What both versions have.
macro_rules! of_the_suite {
    ($server:path, $version:ident) => {
        $crate::common::suite::tests_of! { $server, $version:
            connecting {
                connects_and_disconnects_and_tells_of_it,
                takeover_ends_the_older_connection,
                idle_connection_is_kept_alive,
            }
            messages {
                messages_pass_at_each_qos,
                payloads_of_every_kind_arrive_as_they_are,
                large_payloads_arrive_whole,
                ten_thousand_messages_at_qos_1_arrive_in_order,
                ten_thousand_messages_at_qos_2_arrive_in_order,
                qos_0_written_before_disconnect_is_acknowledged,
            }
            sessions {
                messages_wait_for_a_session_that_is_away,
                reconnects_when_the_server_is_back,
            }
        }
    };
}

macro_rules! suites {
    ($($name:ident: $server:path,)*) => {
        $(mod $name {
            mod v311 {
                of_the_suite! { $server, V311 }
            }
            mod v5 {
                of_the_suite! { $server, V5 }
                mod only {
                    $crate::common::suite::tests_of! { $server, V5:
                        v5 {
                            properties_of_messages_arrive,
                            server_assigns_the_client_identifier,
                        }
                    }
                }
            }
        })*
    };
}

suites! {
    tls: crate::mosquitto::Tls,
    websocket: crate::mosquitto::WebSocket,
    secure_websocket: crate::mosquitto::SecureWebSocket,
}

#[cfg(feature = "openssl")]
suites! {
    psk: crate::mosquitto::Psk,
}
