//! Signatures: an Ed25519 signature at the end of the file says who vouches for all that stands before it, the manifest
//! among it. A component carries it in the custom section `ampout:signature`, which must be the last; a script in its last
//! line, `// ampout-signature: NAME BASE64`. Either way an extension stays one file.
//!
//! What is signed is the line below and the SHA-256 of the bytes before the signature, in hexadecimal.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

use super::error::LoadError;
use super::extension::{EngineKind, LoadedExtension};
use super::load;
use super::manifest::embed::with_section;
use crate::secrets::{ExposeSecret as _, SecretString};

const SIGNED_FOR: &str = "ampout extension signature 1";
const SECTION: &str = "ampout:signature";
const LINE: &str = "// ampout-signature: ";
const LONGEST_NAME: usize = 64;

/// A person or a machine whose signatures the operator trusts: a name and a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    name: String,
    key: [u8; 32],
}

/// What signs. Its text, for a file of its own, is `NAME BASE64`.
pub struct SigningKey {
    name: String,
    seed: SecretString,
    pair: Ed25519KeyPair,
}

/// Why a key can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not the form of a trusted signer.
    #[error("write NAME=KEY, as `ampout plugin keygen` prints it; a name has no blanks")]
    Form,
    /// Not the form of a key's file.
    #[error("is no key that `ampout plugin keygen` wrote")]
    File,
    /// Nobody can be called that.
    #[error(
        "{0:?} can't be a signer's name: use 1 to {LONGEST_NAME} letters, digits and signs of ASCII, without blanks, = and ,"
    )]
    Name(String),
    /// Not 32 bytes in base64.
    #[error("a key is 32 bytes in base64")]
    Length,
}

/// Who signed a file, as it says itself.
struct Claim<'a> {
    content: &'a [u8],
    signer: String,
    signature: Vec<u8>,
}

/// Whose word there is for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Vouched {
    /// Nobody's.
    #[default]
    Unsigned,
    /// Somebody's whom the operator does not know.
    Unknown(String),
    /// That of this trusted signer.
    By(String),
    /// It was changed after this trusted signer signed it.
    Broken(String),
}

/// Looks for the signature of `bytes` and at it. A signer may have several keys, such as an old and a new one: any of them will
/// do.
pub(super) fn look(bytes: &[u8], engine: EngineKind, trusted: &[Signer]) -> Vouched {
    let Some(claim) = claim(bytes, engine) else { return Vouched::Unsigned };
    let mut own = trusted.iter().filter(|signer| signer.name == claim.signer).peekable();
    if own.peek().is_none() {
        return Vouched::Unknown(claim.signer);
    }
    let signed = signed(claim.content);
    let fits = |signer: &Signer| UnparsedPublicKey::new(&ED25519, signer.key).verify(&signed, &claim.signature).is_ok();
    if own.any(fits) { Vouched::By(claim.signer) } else { Vouched::Broken(claim.signer) }
}

impl LoadedExtension {
    /// What there is to say of its signature, for people.
    pub fn signature(&self) -> String {
        match &self.vouched {
            Vouched::Unsigned => "not signed".to_owned(),
            Vouched::Unknown(signer) => format!("signed by {signer}, whose key is not among trusted_signers"),
            Vouched::By(signer) => format!("signed by {signer}"),
            Vouched::Broken(signer) => format!("changed after {signer} signed it"),
        }
    }
}

impl SigningKey {
    /// A new one.
    pub fn make(name: &str) -> Result<Self, BadKey> {
        let seed: [u8; 32] = rand::random();
        Self::new(name, &seed)
    }

    /// The text of its file.
    pub fn to_file(&self) -> SecretString {
        format!("{} {}\n", self.name, self.seed.expose_secret()).into()
    }

    /// Reads the text of its file.
    pub fn from_file(text: &str) -> Result<Self, BadKey> {
        let (name, seed) = text.trim().split_once(' ').ok_or(BadKey::File)?;
        Self::new(name, &key_of(seed).map_err(|_| BadKey::File)?)
    }

    /// The public half, for `trusted_signers`.
    pub fn signer(&self) -> Signer {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        Signer { name: self.name.clone(), key }
    }

    /// The same of a file that may be anything: one that is no whole component or script with a manifest is refused.
    pub fn sign_file(&self, bytes: &[u8], engine: EngineKind, file: &str) -> Result<Vec<u8>, LoadError> {
        load::manifest_of(bytes, engine, file)?;
        if engine == EngineKind::Component {
            read_to_the_end(bytes).map_err(|reason| LoadError::Component { file: file.to_owned(), reason })?;
        }
        Ok(self.sign(bytes, engine))
    }

    /// The file with a signature at its end, in the place of one that is there.
    pub fn sign(&self, bytes: &[u8], engine: EngineKind) -> Vec<u8> {
        let content = claim(bytes, engine).map_or(bytes, |claim| claim.content);
        // A script's signature begins a line of its own, and the line's end before it is signed, too.
        let mut content = content.to_vec();
        if engine == EngineKind::Script && !content.ends_with(b"\n") {
            content.push(b'\n');
        }
        let signature = STANDARD.encode(self.pair.sign(&signed(&content)));
        let claim = format!("{} {signature}", self.name);
        match engine {
            EngineKind::Component => with_section(content, SECTION, claim.as_bytes()),
            EngineKind::Script => [content.as_slice(), LINE.as_bytes(), claim.as_bytes(), b"\n"].concat(),
        }
    }

    fn new(name: &str, seed: &[u8; 32]) -> Result<Self, BadKey> {
        let name = name_of(name)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadKey::Length)?;
        Ok(Self { name, seed: STANDARD.encode(seed).into(), pair })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FromStr for Signer {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (name, key) = text.split_once('=').ok_or(BadKey::Form)?;
        let name = name_of(name.trim()).map_err(|_| BadKey::Form)?;
        Ok(Self { name, key: key_of(key.trim())? })
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, STANDARD.encode(self.key))
    }
}

fn name_of(name: &str) -> Result<String, BadKey> {
    let is_fine = |c: char| c.is_ascii_graphic() && !matches!(c, '=' | ',');
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME;
    if fits && name.chars().all(is_fine) {
        return Ok(name.to_owned());
    }
    Err(BadKey::Name(name.chars().take(LONGEST_NAME).collect()))
}

fn key_of(text: &str) -> Result<[u8; 32], BadKey> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadKey::Length)
}

fn signed(content: &[u8]) -> Vec<u8> {
    format!("{SIGNED_FOR}\n{}\n", hex::encode(Sha256::digest(content))).into_bytes()
}

fn claim(bytes: &[u8], engine: EngineKind) -> Option<Claim<'_>> {
    let (content, text) = match engine {
        EngineKind::Component => last_section(bytes)?,
        EngineKind::Script => last_line(bytes)?,
    };
    let (signer, signature) = std::str::from_utf8(text).ok()?.trim().split_once(' ')?;
    let (signer, signature) = (name_of(signer).ok()?, STANDARD.decode(signature).ok()?);
    Some(Claim { content, signer, signature })
}

/// The manifest may stand before what is broken: half a file may have one.
fn read_to_the_end(bytes: &[u8]) -> Result<(), String> {
    match Parser::new(0).parse_all(bytes).find_map(Result::err) {
        None => Ok(()),
        Some(error) => Err(format!("is no whole component: {}", error.message().lines().next().unwrap_or_default())),
    }
}

fn last_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let trimmed = bytes.trim_ascii_end();
    let start = trimmed.iter().rposition(|byte| *byte == b'\n')? + 1;
    Some((&bytes[..start], trimmed[start..].strip_prefix(LINE.as_bytes())?))
}

/// What stands before the section, and its data. One that is not the last vouches for nothing behind it.
fn last_section(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::CustomSection(section) = payload.ok()? else { continue };
        let end = section.range().end;
        // Only a section of the outermost component ends where the file ends.
        if section.name() == SECTION && end == bytes.len() {
            let content = end - section.range().start;
            let start = end.checked_sub(section_len(content))?;
            return Some((&bytes[..start], section.data()));
        }
    }
    None
}

/// The bytes of a section with this many bytes of content: its id, its size in LEB128, and the content.
fn section_len(content: usize) -> usize {
    let bits = (usize::BITS - content.leading_zeros()).max(1) as usize;
    1 + bits.div_ceil(7) + content
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &[u8] = b"//! name: x\nfn classify(message) { 1 }";

    fn component() -> Vec<u8> {
        with_section(wat::parse_str("(component (core module (func)))").unwrap(), "ampout:manifest", b"{}")
    }

    fn check(content: &[u8], engine: EngineKind) {
        let (ada, eve) = (SigningKey::make("ada").unwrap(), SigningKey::make("ada").unwrap());
        let trusted = [ada.signer()];
        assert_eq!(look(content, engine, &trusted), Vouched::Unsigned);
        let signed = ada.sign(content, engine);
        assert_eq!(look(&signed, engine, &trusted), Vouched::By("ada".to_owned()));
        assert_eq!(look(&signed, engine, &[]), Vouched::Unknown("ada".to_owned()));
        assert_eq!(look(&signed, engine, &[eve.signer()]), Vouched::Broken("ada".to_owned()));
        // Signing again takes the old signature's place.
        assert_eq!(ada.sign(&signed, engine), signed);
        assert_eq!(look(&eve.sign(&signed, engine), engine, &trusted), Vouched::Broken("ada".to_owned()));
        let mut changed = signed.clone();
        changed[9] ^= 1;
        assert_ne!(look(&changed, engine, &trusted), Vouched::By("ada".to_owned()));
    }

    #[test]
    fn a_signature_holds_for_the_bytes_before_it_and_no_others() {
        check(SCRIPT, EngineKind::Script);
        check(&component(), EngineKind::Component);
    }

    #[test]
    fn what_stands_behind_a_signature_makes_it_none() {
        let ada = SigningKey::make("ada").unwrap();
        let trusted = [ada.signer()];
        let component = with_section(ada.sign(&component(), EngineKind::Component), "ampout:manifest", b"{}");
        assert_eq!(look(&component, EngineKind::Component, &trusted), Vouched::Unsigned);
        let script = [ada.sign(SCRIPT, EngineKind::Script).as_slice(), b"fn more() {}\n"].concat();
        assert_eq!(look(&script, EngineKind::Script, &trusted), Vouched::Unsigned);
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key = SigningKey::make("build-7").unwrap();
        let read = SigningKey::from_file(key.to_file().expose_secret()).unwrap();
        assert_eq!(read.signer(), key.signer());
        assert_eq!(key.signer().to_string().parse(), Ok(key.signer()));
        assert_eq!("ada".parse::<Signer>(), Err(BadKey::Form));
        assert_eq!("ada=AAAA".parse::<Signer>(), Err(BadKey::Length));
        let told = SigningKey::make("two words").unwrap_err().to_string();
        assert!(told.starts_with("\"two words\" can't be a signer's name: use 1 to 64 letters"), "{told}");
        for text in ["", "ada", "ada AAAA", "two words AAAA"] {
            assert_eq!(SigningKey::from_file(text).unwrap_err(), BadKey::File, "{text}");
        }
    }

    #[test]
    fn a_signer_may_have_an_old_key_and_a_new_one() {
        let (old, new, other) =
            (SigningKey::make("ada").unwrap(), SigningKey::make("ada").unwrap(), SigningKey::make("ada").unwrap());
        for trusted in [[old.signer(), new.signer()], [new.signer(), old.signer()]] {
            for key in [&old, &new] {
                let signed = key.sign(SCRIPT, EngineKind::Script);
                assert_eq!(look(&signed, EngineKind::Script, &trusted), Vouched::By("ada".to_owned()));
            }
            let signed = other.sign(SCRIPT, EngineKind::Script);
            assert_eq!(look(&signed, EngineKind::Script, &trusted), Vouched::Broken("ada".to_owned()));
        }
    }

    #[test]
    fn what_is_no_extension_is_not_signed() {
        let ada = SigningKey::make("ada").unwrap();
        let whole = b"//! name: x\n//! version: 1.0.0\n//! hooks: send-gate\nfn admit(send) { 1 }";
        assert!(ada.sign_file(whole, EngineKind::Script, "x.rhai").is_ok());
        let manifest = br#"{"name":"x","version":"1.0.0","hooks":["send-gate"]}"#;
        let bare = wat::parse_str("(component (core module (func)))").unwrap();
        let whole = with_section(bare.clone(), "ampout:manifest", manifest);
        assert!(ada.sign_file(&whole, EngineKind::Component, "x.wasm").is_ok());
        let signed = ada.sign(&whole, EngineKind::Component);
        let twice = with_section(whole.clone(), "ampout:manifest", manifest);
        let text = b"Dear Ada,\n".as_slice();
        let module = wat::parse_str("(module)").unwrap();
        for (bytes, engine, told) in [
            (text, EngineKind::Script, "x: manifest, name: is missing"),
            (text, EngineKind::Component, "x: is no WebAssembly: it does not begin with \\0asm"),
            (b"".as_slice(), EngineKind::Component, "x: is no WebAssembly"),
            (module.as_slice(), EngineKind::Component, "x: is a core module, not a component"),
            (bare.as_slice(), EngineKind::Component, "x: has no manifest"),
            (&twice, EngineKind::Component, "x: has 2 manifests"),
            (&whole[..whole.len() - 1], EngineKind::Component, "x: is no WebAssembly"),
            (&signed[..signed.len() - 9], EngineKind::Component, "x: is no whole component"),
        ] {
            let error = ada.sign_file(bytes, engine, "x").unwrap_err().to_string();
            assert!(error.starts_with(told) && !error.contains('\n'), "{error}");
        }
    }
}
