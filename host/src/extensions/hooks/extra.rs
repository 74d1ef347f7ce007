//! Key and value pairs for what the frozen records did not foresee.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::answer::clip;

const MOST_PAIRS: usize = 64;

/// Pairs in order. In JSON and in scripts they are a map; of equal keys the last counts there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra(pub Vec<(String, String)>);

impl Extra {
    /// The value of `key`, if there is one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// As a row can hold it: each text cut like any other, and no more pairs than somebody would write.
    pub(super) fn clipped(self) -> Self {
        let pairs = self.0.into_iter().take(MOST_PAIRS);
        Self(pairs.map(|(key, value)| (clip(key), clip(value))).collect())
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)).collect::<BTreeMap<_, _>>())
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().collect()))
    }
}
