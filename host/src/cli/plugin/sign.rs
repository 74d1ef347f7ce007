//! `ampout plugin keygen` and `ampout plugin sign`: who vouches for an extension.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::cli::{extension_file, print};
use crate::extensions::SigningKey;
use crate::secrets::ExposeSecret as _;

#[derive(Debug, Args)]
pub(in crate::cli) struct KeygenArgs {
    /// Who signs: a name without blanks
    name: String,
    /// Where the secret half goes; the public half is printed
    #[arg(long, value_name = "FILE", default_value = "ampout-signing.key")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SignArgs {
    /// A .wasm or .rhai file; the signature is written at its end
    file: PathBuf,
    /// The file that `ampout plugin keygen` made
    #[arg(long, value_name = "FILE", default_value = "ampout-signing.key")]
    key: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn keygen(args: &KeygenArgs) -> anyhow::Result<()> {
    let key = SigningKey::make(&args.name)?;
    write_secret(&args.out, key.to_file().expose_secret()).with_context(|| args.out.display().to_string())?;
    let signer = key.signer().to_string();
    if args.json {
        return print::json(&json!({ "trusted_signers": signer, "key": args.out }));
    }
    print::line(format_args!("The secret half is in {}. Whoever is to trust it sets", args.out.display()))?;
    print::line(format_args!("trusted_signers = \"{signer}\""))
}

pub(super) fn sign(args: &SignArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.key).with_context(|| args.key.display().to_string())?;
    let key = SigningKey::from_file(&text).with_context(|| args.key.display().to_string())?;
    let (bytes, engine) = extension_file::read(&args.file)?;
    let signed = key.sign_file(&bytes, engine, &args.file.display().to_string())?;
    replace(&args.file, &signed).with_context(|| args.file.display().to_string())?;
    let signer = key.signer().to_string();
    if args.json {
        return print::json(&json!({ "file": args.file, "signer": signer }));
    }
    print::line(format_args!("{} is signed by {signer}", args.file.display()))
}

/// A new file that only its owner may read; one that is there is not overwritten, for it may be the only key.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// At once: a server that watches the folder must not see half a file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    std::fs::set_permissions(file.path(), std::fs::metadata(path)?.permissions())?;
    file.persist(path)?;
    Ok(())
}
