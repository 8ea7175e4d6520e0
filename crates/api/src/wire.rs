//! Serde helpers for the habits of Go's JSON.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the type's default: a nil slice, map or string of Go.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object that may be `null`, shared with whoever else has it.
pub(crate) mod shared {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Members = BTreeMap<String, String>;

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(
        members: &Option<Arc<Members>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        members.as_deref().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<Members>>, D::Error> {
        Ok(Option::<Members>::deserialize(deserializer)?.map(Arc::new))
    }
}

/// A count where `-1` on the wire means that nobody counted.
pub(crate) mod minus_one {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(
        count: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match count {
            Some(count) => serializer.serialize_u64(*count),
            None => serializer.serialize_i64(-1),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        Ok(u64::try_from(i64::deserialize(deserializer)?).ok())
    }
}
