//! What `wit-bindgen` makes of `wit/v1`: one module for the interfaces that the host offers, one for each hook. The only
//! place with generated code and with `unsafe`; authors meet these types through the crate's root, under their own names.
//!
//! The WIT is read relative to this package's manifest, at `../../wit/v1`. A path or git dependency has that folder beside
//! it, because Cargo checks out the whole repository; a published package has to carry a copy (a symbolic link named
//! `wit` is enough, `cargo package` follows it). A plugin itself needs no WIT: the export macros carry the encoded world.

/// `log`, `clock`, `crypto` and `http` as the host offers them to every hook.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "
            package ampout:sdk;
            world host {
                import ampout:extension/types@1.0.0;
                import ampout:extension/log@1.0.0;
                import ampout:extension/clock@1.0.0;
                import ampout:extension/crypto@1.0.0;
                import ampout:extension/http@1.0.0;
            }
        ",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Clone],
    });
}

// Records of inputs have defaults and, natively, are read from JSON; nothing on WebAssembly reads inputs as JSON.
macro_rules! hook {
    ($module:ident, $world:literal, $macro:literal, { $($attributes:tt)* }, { $($members:tt)* }) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit/v1",
                world: $world,
                with: {
                    "ampout:extension/types@1.0.0": crate::bindings::host::ampout::extension::types,
                    "ampout:extension/log@1.0.0": crate::bindings::host::ampout::extension::log,
                    "ampout:extension/clock@1.0.0": crate::bindings::host::ampout::extension::clock,
                    "ampout:extension/crypto@1.0.0": crate::bindings::host::ampout::extension::crypto,
                    "ampout:extension/http@1.0.0": crate::bindings::host::ampout::extension::http,
                },
                pub_export_macro: true,
                export_macro_name: $macro,
                additional_derives: [PartialEq, Clone],
                additional_type_attributes: { $($attributes)* },
                additional_member_attributes: { $($members)* },
            });
        }
    };
}

hook!(reply_classifier, "reply-classifier", "export_reply_classifier", {
    "ampout:extension/reply-classification@1.0.0/message": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
    "ampout:extension/reply-classification@1.0.0/header": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
    "ampout:extension/reply-classification@1.0.0/part": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
    "ampout:extension/reply-classification@1.0.0/matched-enrollment": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
}, {
    "ampout:extension/reply-classification@1.0.0/message.raw-headers": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::bytes_as_text"))]
    ],
    "ampout:extension/reply-classification@1.0.0/message.extra": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::pairs"))]
    ],
    "ampout:extension/reply-classification@1.0.0/matched-enrollment.extra": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::pairs"))]
    ],
});
hook!(provider_adapter, "provider-adapter", "export_provider_adapter", {
    "ampout:extension/provider-ingestion@1.0.0/request": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
}, {
    "ampout:extension/provider-ingestion@1.0.0/request.body": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::bytes_as_text"))]
    ],
    "ampout:extension/provider-ingestion@1.0.0/request.headers": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::pairs"))]
    ],
    "ampout:extension/provider-ingestion@1.0.0/request.extra": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::pairs"))]
    ],
});
hook!(bounce_policy, "bounce-policy", "export_bounce_policy", {
    "ampout:extension/bounce-judgement@1.0.0/counters": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
    "ampout:extension/bounce-judgement@1.0.0/stats": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
}, {
    "ampout:extension/bounce-judgement@1.0.0/stats.extra": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::pairs"))]
    ],
});
hook!(send_gate, "send-gate", "export_send_gate", {
    "ampout:extension/send-admission@1.0.0/contact": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
    "ampout:extension/send-admission@1.0.0/credential": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
    "ampout:extension/send-admission@1.0.0/send": [
        #[derive(Default)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
    ],
}, {
    "ampout:extension/send-admission@1.0.0/send.extra": [
        #[cfg_attr(not(target_arch = "wasm32"), serde(deserialize_with = "crate::input_json::pairs"))]
    ],
});
