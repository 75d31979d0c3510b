//! How types of `oci` stand in records: by their stable text or number, so that the ledger does not depend on
//! how their module happens to define them.

pub mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub trait Text: Sized + std::fmt::Display {
        fn of(text: &str) -> Result<Self, String>;
    }

    impl Text for crate::oci::Digest {
        fn of(text: &str) -> Result<Self, String> {
            Self::parse(text).map_err(|error| error.to_string())
        }
    }

    impl Text for crate::oci::RepositoryName {
        fn of(text: &str) -> Result<Self, String> {
            Self::parse(text).map_err(|error| error.to_string())
        }
    }

    impl Text for crate::oci::UserName {
        fn of(text: &str) -> Result<Self, String> {
            Self::parse(text).map_err(|error| error.to_string())
        }
    }

    pub fn serialize<T: Text, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::of(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

pub mod as_option_text {
    use super::as_text::Text;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde's `with` hands over a reference")]
    pub fn serialize<T: Text, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| T::of(&text)).transpose().map_err(D::Error::custom)
    }
}

pub mod as_bytes {
    use crate::oci::SessionId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &SessionId, serializer: S) -> Result<S::Ok, S::Error> {
        value.bytes().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SessionId, D::Error> {
        <[u8; 16]>::deserialize(deserializer).map(SessionId::from_bytes)
    }
}

macro_rules! as_number {
    ($module:ident, $type:ty, $($variant:path = $number:literal),+) => {
        pub mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            pub fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u8(match value {
                    $($variant => $number,)+
                })
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                match u8::deserialize(deserializer)? {
                    $($number => Ok($variant),)+
                    other => Err(D::Error::custom(format!("{other} stands for nothing here"))),
                }
            }
        }
    };
}

as_number!(
    as_kind,
    crate::oci::ManifestKind,
    crate::oci::ManifestKind::Image = 1,
    crate::oci::ManifestKind::Index = 2,
    crate::oci::ManifestKind::Artifact = 3
);
as_number!(
    as_role,
    crate::oci::Role,
    crate::oci::Role::Config = 1,
    crate::oci::Role::Layer = 2,
    crate::oci::Role::Child = 3
);
as_number!(
    as_algorithm,
    crate::oci::Algorithm,
    crate::oci::Algorithm::Sha256 = 1,
    crate::oci::Algorithm::Sha512 = 2
);
