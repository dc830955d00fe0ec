#![cfg(test)]
//! What a client does, against the broker of the mqtt5 crate: a third server of 5.0, and one that authenticates by
//! SCRAM and sends clients elsewhere.
//!
//! Of the suite, what needs no Unix socket and no sessions on disk. Not here because of what this broker does otherwise,
//! see `docs/interop.md`: QoS 2 of a publisher of 3.1.1 that is cut, takeover on 3.1.1, properties as they were sent.

mod authentication;
mod broker;
#[path = "../../../crates/karere/tests/common/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "not all of the suite fits this server")]
mod common;
#[path = "../../../crates/karere/tests/interop_mosquitto/every_property.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod every_property;
mod limits;
mod redirect;
mod scram;
#[path = "../../../crates/karere/tests/interop_mosquitto/tap.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod tap;

/// What both versions have.
macro_rules! of_the_suite {
    ($version:ident) => {
        crate::common::suite::tests_of! { crate::broker::Mqtt5, $version:
            connecting {
                connects_and_disconnects_and_tells_of_it,
                idle_connection_is_kept_alive,
                disconnecting_when_drained_waits_for_acknowledgements,
            }
            messages {
                messages_pass_at_each_qos,
                payloads_of_every_kind_arrive_as_they_are,
                topics_are_utf_8,
                large_payloads_arrive_whole,
                twenty_mebibytes_pass_both_ways,
                ten_thousand_messages_at_qos_0_arrive_in_order,
                ten_thousand_messages_at_qos_1_arrive_in_order,
                ten_thousand_messages_at_qos_2_arrive_in_order,
                retained_messages_are_set_replaced_and_cleared,
                own_window_is_respected,
                qos_0_written_before_disconnect_is_acknowledged,
            }
            subscriptions {
                several_filters_are_granted_their_own_qos,
                unsubscribing_one_and_many,
                overlapping_filters_all_match,
                shared_subscription_gives_each_message_to_one_member,
                manual_acknowledgements_leave_in_order_of_arrival,
                unacknowledged_message_comes_again,
            }
            sessions {
                messages_wait_for_a_session_that_is_away,
                session_that_ends_with_its_connection_keeps_nothing,
                will_is_published_when_the_connection_is_lost,
                will_is_not_published_after_disconnect,
                unacknowledged_publish_is_sent_again_with_dup,
                unanswered_requests_are_asked_again,
            }
            losses {
                qos_1_is_at_least_once_and_in_order_when_the_publisher_is_cut_anywhere,
                qos_1_is_at_least_once_when_the_subscriber_is_cut_anywhere,
                qos_2_is_exactly_once_when_the_subscriber_is_cut_anywhere,
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
        crate::common::suite::tests_of! { crate::broker::Mqtt5, V5:
            losses {
                qos_2_is_exactly_once_when_the_publisher_is_cut_anywhere,
            }
            v5 {
                disconnect_carries_reason_and_properties,
                disconnect_with_reason_4_publishes_the_will,
                server_assigns_the_client_identifier,
                subscribe_options_are_obeyed,
                subscription_identifiers_come_back,
                receive_maximum_of_the_server_is_respected,
                unsubscribing_what_is_not_subscribed_says_so,
            }
        }
    }
}
