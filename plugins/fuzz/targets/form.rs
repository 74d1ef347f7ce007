//! Bodies of webhooks, as forms and as JSON, and the texts in them that are read further.
#![no_main]

use ampout_plugin::fields::Fields;
use ampout_plugin::{address, base64, form, hex, text, time};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for (name, value) in form::pairs(body) {
        let _ = (address::first_address(&value), address::addresses_in(&name));
        let _ = (base64::decode(&value), hex::decode(&value), time::unix_seconds(&value));
        let folded = text::fold(&value);
        assert_eq!(text::fold(&folded), folded, "folding what is folded changes nothing");
    }
    for fields in Fields::sniff(body).unwrap_or_default() {
        let _ = (fields.send_id(), fields.send_id_in_headers("headers"));
        for name in fields.names() {
            let _ = (fields.text(name), fields.word(name), fields.number(name), fields.list(name));
            let _ = (fields.inside(&[name, name]), fields.objects(name), fields.last_text(name));
        }
    }
});
