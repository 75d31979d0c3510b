//! Writing only over what the client has seen (RFC 9110, section 13): the compare-and-swap of tags.

use super::error::Error;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// Digests that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digests {
    /// Whatever is there.
    Any,
    /// One of these.
    OneOf(Vec<Digest>),
}

impl Digests {
    /// Whether what is there is among them. What is not there is not.
    #[must_use]
    pub fn contain(&self, present: Option<Digest>) -> bool {
        match (self, present) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(digests), Some(digest)) => digests.contains(&digest),
        }
    }
}

/// What has to hold for a write to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// What the tag or digest has to name: `If-Match`.
    pub is: Option<Digests>,
    /// What it must not name: `If-None-Match`.
    pub is_not: Option<Digests>,
    /// Whether a tag may only come to be: one that is there stays at what it names.
    pub only_adds: bool,
}

impl Condition {
    /// Whether it holds where `present` is there.
    #[must_use]
    pub fn holds(&self, present: Option<Digest>) -> bool {
        self.is.as_ref().is_none_or(|is| is.contain(present))
            && self.is_not.as_ref().is_none_or(|is_not| !is_not.contain(present))
    }

    /// Refuses to make a tag name `wanted` that names something else, where tags may only be added.
    pub fn check_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        present: Option<Digest>,
        wanted: Digest,
    ) -> Result<(), Error> {
        if self.only_adds && present.is_some_and(|present| present != wanted) {
            return Err(Error::MayOnlyAdd { repository: name.clone(), tag: tag.clone() });
        }
        self.check(name, &Reference::Tag(tag.clone()), present)
    }

    /// Refuses a write to `reference` where it does not hold.
    pub fn check(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        present: Option<Digest>,
    ) -> Result<(), Error> {
        if self.holds(present) {
            return Ok(());
        }
        Err(Error::ConditionFailed { repository: name.clone(), reference: reference.clone(), present })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn conditions_hold_as_rfc_9110_says() {
        let (one, two) = (Digest::of(Algorithm::Sha256, b"1"), Digest::of(Algorithm::Sha256, b"2"));
        let is = |digests| Condition { is: Some(digests), ..Condition::default() };
        let is_not = |digests| Condition { is_not: Some(digests), ..Condition::default() };
        for (condition, absent, present) in [
            (Condition::default(), true, true),
            (is(Digests::Any), false, true),
            (is(Digests::OneOf(vec![two, one])), false, true),
            (is(Digests::OneOf(vec![two])), false, false),
            (is(Digests::OneOf(vec![])), false, false),
            (is_not(Digests::Any), true, false),
            (is_not(Digests::OneOf(vec![one])), true, false),
            (is_not(Digests::OneOf(vec![two])), true, true),
            (
                Condition { is: Some(Digests::Any), is_not: Some(Digests::Any), only_adds: false },
                false,
                false,
            ),
        ] {
            assert_eq!(
                (condition.holds(None), condition.holds(Some(one))),
                (absent, present),
                "{condition:?}"
            );
        }
    }
}
