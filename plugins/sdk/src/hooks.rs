//! The macros that make a component of a function, one for each hook. They expand to nothing but on WebAssembly, so that
//! a plugin's tests run natively.

/// Makes `fn classify(message: Message) -> Classification` the plugin's answer to the hook `reply-classifier`.
///
/// ```
/// use ampout_plugin::{Classification, Message};
///
/// fn classify(message: Message) -> Classification {
///     if message.subject.starts_with("Ticket #") { Classification::ignore() } else { Classification::pass() }
/// }
/// ampout_plugin::reply_classifier!(classify);
/// ```
#[macro_export]
macro_rules! reply_classifier {
    ($classify:path) => {
        $crate::__hook!(
            reply_classifier,
            export_reply_classifier,
            reply_classification,
            fn classify(message: $crate::Message) -> $crate::Classification {
                $crate::panics::are_logged();
                $classify(message)
            }
        );
    };
}

/// Makes `fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal>` the plugin's answer to the hook
/// `provider-adapter`.
///
/// ```
/// use ampout_plugin::{Outcome, Refusal, Request, Settings};
///
/// fn ingest(_request: Request, _settings: Settings) -> Result<Outcome, Refusal> {
///     Ok(Outcome::Events(Vec::new()))
/// }
/// ampout_plugin::provider_adapter!(ingest);
/// ```
#[macro_export]
macro_rules! provider_adapter {
    ($ingest:path) => {
        $crate::__hook!(
            provider_adapter,
            export_provider_adapter,
            provider_ingestion,
            fn ingest(
                request: $crate::Request,
                settings: ::std::vec::Vec<(::std::string::String, ::std::string::String)>,
            ) -> ::std::result::Result<$crate::Outcome, $crate::Refusal> {
                $crate::panics::are_logged();
                $ingest(request, $crate::Settings(settings))
            }
        );
    };
}

/// Makes `fn judge(stats: Stats) -> Judgement` the plugin's answer to the hook `bounce-policy`.
///
/// ```
/// use ampout_plugin::{Judgement, Stats};
///
/// fn judge(stats: Stats) -> Judgement {
///     if stats.last_day.complaints > 2 { Judgement::Disable("three complaints in a day".to_owned()) } else { Judgement::Keep }
/// }
/// ampout_plugin::bounce_policy!(judge);
/// ```
#[macro_export]
macro_rules! bounce_policy {
    ($judge:path) => {
        $crate::__hook!(
            bounce_policy,
            export_bounce_policy,
            bounce_judgement,
            fn judge(stats: $crate::Stats) -> $crate::Judgement {
                $crate::panics::are_logged();
                $judge(stats)
            }
        );
    };
}

/// Makes `fn admit(send: Send) -> Admission` the plugin's answer to the hook `send-gate`.
///
/// ```
/// use ampout_plugin::{Admission, Send};
///
/// fn admit(send: Send) -> Admission {
///     if send.contact.domain == "example.com" { Admission::Skip("no test domains".to_owned()) } else { Admission::Admit }
/// }
/// ampout_plugin::send_gate!(admit);
/// ```
#[macro_export]
macro_rules! send_gate {
    ($admit:path) => {
        $crate::__hook!(
            send_gate,
            export_send_gate,
            send_admission,
            fn admit(send: $crate::Send) -> $crate::Admission {
                $crate::panics::are_logged();
                $admit(send)
            }
        );
    };
}

/// Implements a world's exported interface on a type of its own and exports it. The generated exports use raw pointers,
/// hence the lint exception, which holds for this one item.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    ($world:ident, $export:ident, $interface:ident, $function:item) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the canonical ABI is raw pointers")]
        const _: () = {
            struct Plugin;

            impl $crate::bindings::$world::exports::ampout::extension::$interface::Guest for Plugin {
                $function
            }

            $crate::bindings::$world::$export!(Plugin with_types_in $crate::bindings::$world);
        };
    };
}
