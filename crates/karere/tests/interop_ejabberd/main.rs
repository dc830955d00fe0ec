//! What a client does, against ejabberd: a second server of 5.0, which says and does things that mosquitto does not.
//!
//! Of the suite, what works with a server that wants a password on every way to it, and keeps no session on disk. Lost
//! connections have tests of their own in `ways`.

#[path = "../common/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "not all of the suite fits this server")]
mod common;
mod ejabberd;
#[path = "../interop_mosquitto/every_property.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod every_property;
#[path = "../interop_mosquitto/tap.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod tap;
mod v5_session;
mod ways;

/// What both versions have.
macro_rules! of_the_suite {
    ($version:ident) => {
        crate::common::suite::tests_of! { crate::ejabberd::Ejabberd, $version:
            connecting {
                connects_and_disconnects_and_tells_of_it,
                wrong_password_is_refused_and_the_right_one_is_not,
                takeover_ends_the_older_connection,
            }
            messages {
                messages_pass_at_each_qos,
                payloads_of_every_kind_arrive_as_they_are,
                large_payloads_arrive_whole,
                ten_thousand_messages_at_qos_2_arrive_in_order,
                retained_messages_are_set_replaced_and_cleared,
            }
            subscriptions {
                several_filters_are_granted_their_own_qos,
                overlapping_filters_all_match,
                unsubscribing_one_and_many,
            }
            sessions {
                messages_wait_for_a_session_that_is_away,
                session_that_ends_with_its_connection_keeps_nothing,
                will_is_not_published_after_disconnect,
            }
        }
    };
}

mod v311 {
    of_the_suite! { V311 }
}
mod v5 {
    of_the_suite! { V5 }
    mod only {
        crate::common::suite::tests_of! { crate::ejabberd::Ejabberd, V5:
            connecting {
                idle_connection_is_kept_alive,
            }
            messages {
                topics_are_utf_8,
                messages_published_before_the_connection_are_sent_with_it,
                ten_thousand_messages_at_qos_1_arrive_in_order,
            }
            v5 {
                disconnect_carries_reason_and_properties,
                disconnect_with_reason_4_publishes_the_will,
                server_assigns_the_client_identifier,
                subscribe_options_are_obeyed,
                subscription_identifiers_come_back,
                properties_of_messages_arrive,
                acknowledgements_carry_reason_codes,
            }
        }
    }
}
