//! Where settings come from, and which source set what: the defaults, a file, the environment, the flags.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{ConfigError, DEFAULTS};

const VARIABLE_PREFIX: &str = "AMPOUT_";

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// A file that must exist; `ampout.toml` of the present folder is read when it is there.
    pub file: Option<PathBuf>,
    /// Flags of the command line: name and value.
    pub flags: Vec<(String, String)>,
}

pub(super) fn figment(sources: &Sources) -> Figment {
    let figment = Figment::from(Toml::string(DEFAULTS));
    let figment = match &sources.file {
        Some(file) => figment.merge(Toml::file_exact(file)),
        // A missing ampout.toml is no error; one that can't be read is.
        None if Path::new("ampout.toml").exists() => figment.merge(Toml::file_exact("ampout.toml")),
        None => figment,
    };
    // What is not UTF-8 is none of our names, or is told as a bad value.
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.strip_prefix(VARIABLE_PREFIX)?.to_lowercase();
        Some((name, value.to_string_lossy().into_owned()))
    });
    let flags = sources.flags.iter().cloned();
    figment
        .merge(Given { by: GivenBy::Environment, values: variables.collect() })
        .merge(Given { by: GivenBy::Flags, values: flags.collect() })
}

/// Settings that come as texts. Only whole numbers and truth values are taken for more than texts: a key of hex digits
/// must not become a float.
pub(super) struct Given {
    pub(super) by: GivenBy,
    pub(super) values: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
pub(super) enum GivenBy {
    Environment,
    Flags,
}

impl GivenBy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Flags => "flags",
        }
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.by.as_str())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = self.values.iter().map(|(name, value)| (name.clone(), typed(value))).collect();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// A misspelt name gets the name that was meant.
pub(super) fn unreadable(error: figment::Error) -> ConfigError {
    let figment::error::Kind::UnknownField(given, known) = &error.kind else {
        return ConfigError::Unreadable(Box::new(error));
    };
    let likeness = |name: &&'static str| (strsim::jaro_winkler(name, given) * 1000.0) as u32;
    let nearest = known.iter().copied().max_by_key(likeness).unwrap_or("listen");
    let (from, given) = match error.metadata.as_ref() {
        Some(metadata) if metadata.name == GivenBy::Environment.as_str() => {
            ("the environment".to_owned(), format!("{VARIABLE_PREFIX}{}", given.to_uppercase()))
        }
        Some(metadata) if metadata.name == GivenBy::Flags.as_str() => ("the flags".to_owned(), given.clone()),
        Some(figment::Metadata { source: Some(figment::Source::File(path)), .. }) => {
            (path.display().to_string(), given.clone())
        }
        _ => ("the settings".to_owned(), given.clone()),
    };
    ConfigError::UnknownName { given, from, nearest }
}

pub(super) fn source_of(figment: &Figment, name: &str) -> String {
    let Some(metadata) = figment.find_metadata(name) else { return "the defaults".to_owned() };
    match &metadata.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if metadata.name == GivenBy::Environment.as_str() => format!("{VARIABLE_PREFIX}{}", name.to_uppercase()),
        _ if metadata.name == GivenBy::Flags.as_str() => format!("--set {name}"),
        _ => "the defaults".to_owned(),
    }
}

/// A text as the type that a file would give it.
fn typed(text: &str) -> Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text.parse::<u64>().map_or_else(|_| text.into(), Into::into),
    }
}
