//! Components from WebAssembly text: a core module with the names that the canonical ABI wants, made a component the way
//! `ampout plugin build` does.

use serde_json::json;
use wasm_encoder::{ComponentSection, InstanceSection, ModuleArg, RawSection};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::domain::status::Hook;
use crate::extensions::manifest::embed::with_manifest;

const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/v1");

/// A component for `hook`. `body` is the function's code and leaves the answer's address; memory starts as zeros, and a
/// zeroed answer is the first case of its variant: `pass`, no events, `keep`, `admit`. Texts go behind 64 KiB.
pub(super) fn guest(hook: Hook, pages: u32, body: &str) -> Vec<u8> {
    guest_with(hook, pages, "", body, json!({}))
}

/// The same with declarations of its own and more keys in its manifest.
pub(super) fn guest_with(hook: Hook, pages: u32, declarations: &str, body: &str, more: serde_json::Value) -> Vec<u8> {
    let mut manifest = json!({ "name": "test-guest", "version": "1.0.0", "hooks": [hook] });
    if let (Some(manifest), Some(more)) = (manifest.as_object_mut(), more.as_object()) {
        manifest.extend(more.clone());
    }
    with_manifest(component(hook, pages, declarations, body), &manifest.to_string())
}

/// Without a manifest.
pub(super) fn component(hook: Hook, pages: u32, declarations: &str, body: &str) -> Vec<u8> {
    let (world, export) = match hook {
        Hook::ReplyClassifier => ("reply-classifier", "reply-classification@1.0.0#classify"),
        Hook::ProviderAdapter => ("provider-adapter", "provider-ingestion@1.0.0#ingest"),
        Hook::BouncePolicy => ("bounce-policy", "bounce-judgement@1.0.0#judge"),
        Hook::SendGate => ("send-gate", "send-admission@1.0.0#admit"),
    };
    let text = format!(
        r#"(module
            {declarations}
            (memory (export "memory") {pages})
            (global $free (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
                    (then (if (i32.eq (i32.const -1) (memory.grow
                        (i32.add (i32.const 1) (i32.shr_u (local.get 3) (i32.const 16))))) (then (unreachable)))))
                (local.get $at))
            (func $answer (export "ampout:extension/{export}") (param i32) (result i32) {body})
        )"#
    );
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(WIT).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// The same component with a second core module, which has a memory of its own and does nothing.
pub(super) fn with_second_memory(mut component: Vec<u8>, pages: u32) -> Vec<u8> {
    let is_module = |payload: &Payload<'_>| matches!(payload, Payload::ModuleSection { .. });
    let modules = Parser::new(0).parse_all(&component).filter(|payload| is_module(payload.as_ref().unwrap())).count();
    let module = wat::parse_str(format!("(module (memory {pages}))")).unwrap();
    // Section 1 of a component is a core module.
    RawSection { id: 1, data: &module }.append_to_component(&mut component);
    let mut instances = InstanceSection::new();
    instances.instantiate(u32::try_from(modules).unwrap(), Vec::<(&str, ModuleArg)>::new());
    instances.append_to_component(&mut component);
    component
}
