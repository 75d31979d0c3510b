//! What was found on a copy of a data directory, in words.

use std::fmt::{self, Display};

/// How many of a kind are named.
const NAMED: usize = 20;

/// How many things of a kind there are, and what the first few are called.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Names {
    count: u64,
    names: Vec<String>,
}

impl Names {
    /// Counts one more.
    pub fn add(&mut self, name: impl Display) {
        self.count += 1;
        if self.names.len() < NAMED {
            self.names.push(name.to_string());
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What the first few are called.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names, and how many are not among them.
    fn listed(&self) -> String {
        let named = self.names.join(", ");
        match self.count - self.names.len() as u64 {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

/// What was found on a copy of a data directory, and settled.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// Images that lack bytes, by a tag they had or by digest. They are not served until they are pushed
    /// again.
    pub left_out: Names,
    /// Tags that were taken off these and name an older image.
    pub tags_moved: Names,
    /// Tags that were taken off these and name nothing.
    pub tags_removed: Names,
    /// Blobs whose file is missing or has a wrong size, and that no other file has.
    pub lacking: Names,
    /// Files that took the place of another one with the same bytes.
    pub adopted: Names,
    /// Files that belonged to nothing and are removed.
    pub strays: Names,
    /// Open uploads that were ended.
    pub sessions: Names,
    /// What is none of the registry's files and stays.
    pub foreign: Names,
}

impl Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [
            (
                &self.left_out,
                ("image was left out, since bytes of it", "images were left out, since bytes of them"),
                " are not here",
                true,
            ),
            (&self.tags_moved, ("tag names an older image", "tags name an older image"), "", true),
            (&self.tags_removed, ("tag names nothing any more", "tags name nothing any more"), "", true),
            (&self.lacking, ("blob is missing", "blobs are missing"), " or cut short", false),
            (&self.adopted, ("file took", "files took"), " the place of a missing one", false),
            (&self.strays, ("file belonged", "files belonged"), " to nothing", false),
            (&self.sessions, ("open upload was", "open uploads were"), " ended", false),
            (&self.foreign, ("file is", "files are"), " none of the registry's", false),
        ];
        let told = told.into_iter().filter(|(names, ..)| names.count > 0);
        let told: Vec<_> = told
            .map(|(names, (one, many), rest, is_listed)| {
                let words = if names.count == 1 { one } else { many };
                let listed = if is_listed { format!(": {}", names.listed()) } else { String::new() };
                format!("{} {words}{rest}{listed}", names.count)
            })
            .collect();
        f.write_str(&if told.is_empty() { "rows and files fit together".to_owned() } else { told.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_one_line() {
        let mut report = CopyReport::default();
        assert_eq!(report.to_string(), "rows and files fit together");
        report.left_out.add("app:v3");
        report.left_out.add("app:v4");
        report.tags_moved.add("app:latest");
        (0..5).for_each(|file| report.strays.add(file));
        assert_eq!(
            report.to_string(),
            "2 images were left out, since bytes of them are not here: app:v3, app:v4; 1 tag names an older \
             image: app:latest; 5 files belonged to nothing"
        );
    }

    #[test]
    fn many_are_counted_and_some_are_named() {
        let mut names = Names::default();
        (0..25).for_each(|name| names.add(name));
        assert_eq!((names.count(), names.names().len()), (25, NAMED));
        assert!(names.listed().ends_with("18, 19 and 5 more"));
    }
}
