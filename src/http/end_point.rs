//! The kinds of end-points, for what does not depend on what is asked of them.

/// A kind of end-point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndPoint {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// Which extensions there are.
    Extensions,
    /// What a tag was.
    TagHistory,
    /// All repositories with their sizes.
    Repositories,
    /// One of them.
    Repository,
    /// The tags of a repository.
    Tags,
    /// A manifest, also by a tag that cannot be one.
    Manifest,
    /// A blob.
    Blob,
    /// Where uploads begin.
    Uploads,
    /// An upload, also one that cannot be there.
    Upload,
    /// What refers to a manifest.
    Referrers,
    /// `/livez`.
    Live,
    /// `/readyz`.
    Ready,
    /// `/metrics`.
    Metrics,
    /// `/token`.
    Token,
    /// Who did what.
    Audit,
}

impl EndPoint {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Base,
        Self::Catalog,
        Self::Extensions,
        Self::TagHistory,
        Self::Repositories,
        Self::Repository,
        Self::Tags,
        Self::Manifest,
        Self::Blob,
        Self::Uploads,
        Self::Upload,
        Self::Referrers,
        Self::Live,
        Self::Ready,
        Self::Metrics,
        Self::Token,
        Self::Audit,
    ];

    /// Its name in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Extensions => "extensions",
            Self::TagHistory => "tag_history",
            Self::Repositories => "repositories",
            Self::Repository => "repository",
            Self::Tags => "tags",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Uploads => "uploads",
            Self::Upload => "upload",
            Self::Referrers => "referrers",
            Self::Live => "livez",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
            Self::Token => "token",
            Self::Audit => "audit",
        }
    }

    /// Whether no right is needed: it says nothing of what the registry holds, or only to those who watch
    /// the server.
    #[must_use]
    pub const fn is_for_watchers(self) -> bool {
        matches!(self, Self::Live | Self::Ready | Self::Metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_at_its_number() {
        for (number, end_point) in EndPoint::ALL.into_iter().enumerate() {
            assert_eq!(end_point as usize, number, "{}", end_point.name());
        }
    }
}
