//! What a client does, whatever the server: each test takes the server as a type and the version as an argument.

pub(crate) mod connecting;
pub(crate) mod losses;
pub(crate) mod messages;
pub(crate) mod oneshot;
pub(crate) mod reentrancy;
pub(crate) mod refusing;
pub(crate) mod sessions;
pub(crate) mod subscriptions;
pub(crate) mod v5;

/// Makes tests of the suite, for one server and one version.
macro_rules! tests_of {
    ($server:path, $version:ident: $($module:ident { $($test:ident,)* })*) => {
        $(mod $module {
            $(#[test]
            fn $test() {
                $crate::common::suite::$module::$test::<$server>(karere::Version::$version);
            })*
        })*
    };
}

/// Makes the tests that every version passes.
macro_rules! every_version {
    ($server:path, $version:ident) => {
        $crate::common::suite::tests_of! { $server, $version:
            connecting {
                connects_and_disconnects_and_tells_of_it,
                wrong_password_is_refused_and_the_right_one_is_not,
                idle_connection_is_kept_alive,
                silent_server_is_given_up,
                binds_to_the_local_address_it_is_given,
                connects_over_a_unix_socket,
                connects_to_a_name,
                takeover_ends_the_older_connection,
                disconnecting_when_drained_waits_for_acknowledgements,
                disconnecting_leaves_what_waits_in_the_queue,
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
                outcomes_are_told_by_token_and_by_handler,
                messages_published_before_the_connection_are_sent_with_it,
                own_window_is_respected,
                full_queue_refuses_and_says_so,
                qos_0_written_before_disconnect_is_acknowledged,
            }
            subscriptions {
                one_filter_is_granted_its_qos,
                several_filters_are_granted_their_own_qos,
                unsubscribing_one_and_many,
                overlapping_filters_all_match,
                system_topics_come_only_when_named,
                shared_subscription_gives_each_message_to_one_member,
                routes_that_match_are_all_called_and_the_general_handler_is_not,
                manual_acknowledgements_leave_in_order_of_arrival,
                unacknowledged_message_comes_again,
                automatic_acknowledgement_follows_the_handler,
            }
            sessions {
                messages_wait_for_a_session_that_is_away,
                session_that_ends_with_its_connection_keeps_nothing,
                will_is_published_when_the_connection_is_lost,
                will_is_not_published_after_disconnect,
                will_can_be_set_and_cleared_for_the_next_connection,
                reconnects_when_the_server_is_back,
                unacknowledged_publish_is_sent_again_with_dup,
                unanswered_requests_are_asked_again,
                reinitialised_client_starts_over,
            }
            losses {
                qos_2_is_exactly_once_when_the_publisher_is_cut_anywhere,
                qos_2_is_exactly_once_when_the_subscriber_is_cut_anywhere,
                qos_1_is_at_least_once_and_in_order_when_the_publisher_is_cut_anywhere,
                qos_1_is_at_least_once_when_the_subscriber_is_cut_anywhere,
            }
            oneshot {
                one_call_publishes_and_tells_the_outcomes,
                one_call_receives_a_number_of_messages,
                one_call_listens_until_it_is_told_to_stop,
            }
            refusing {
                message_that_cannot_be_kept_comes_again_after_reconnecting,
                reconnecting_while_messages_arrive_tells_each_of_qos_2_once,
            }
            reentrancy {
                every_method_can_be_called_from_every_handler,
                waiting_in_a_handler_is_an_error,
            }
        }
    };
}

/// Makes the tests of what only 5.0 has.
macro_rules! version_5 {
    ($server:path) => {
        $crate::common::suite::tests_of! { $server, V5:
            v5 {
                disconnect_carries_reason_and_properties,
                disconnect_with_reason_4_publishes_the_will,
                server_assigns_the_client_identifier,
                subscribe_options_are_obeyed,
                subscription_identifiers_come_back,
                properties_of_messages_arrive,
                acknowledgements_carry_reason_codes,
                receive_maximum_of_the_server_is_respected,
                unsubscribing_what_is_not_subscribed_says_so,
            }
        }
    };
}

/// Makes the whole suite for a server.
macro_rules! behaviour_suite {
    ($server:path) => {
        mod v31 {
            $crate::common::suite::every_version! { $server, V31 }
        }
        mod v311 {
            $crate::common::suite::every_version! { $server, V311 }
        }
        mod v5 {
            $crate::common::suite::every_version! { $server, V5 }
            mod only {
                $crate::common::suite::version_5! { $server }
            }
        }
    };
}

pub(crate) use {behaviour_suite, every_version, tests_of, version_5};
