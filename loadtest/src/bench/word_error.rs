//! Word error rate: the fewest words to insert, delete and replace, over the number of words said.

use serde::Serialize;

/// Errors and words, to be added up over many clips.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WordErrors {
    pub errors: u64,
    pub words: u64,
}

impl WordErrors {
    /// Compares what was written with what was said, both as words.
    pub fn between(said: &[String], written: &[String]) -> Self {
        // one row of the usual table is enough
        let mut row: Vec<u64> = (0..=written.len() as u64).collect();
        for (index, word) in said.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = index as u64 + 1;
            for (column, other) in written.iter().enumerate() {
                let replaced = diagonal + u64::from(word != other);
                diagonal = row[column + 1];
                row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
            }
        }
        Self { errors: row[written.len()], words: said.len() as u64 }
    }

    /// Errors in percent of the words said.
    pub fn percent(self) -> f64 {
        100.0 * self.errors as f64 / self.words.max(1) as f64
    }
}

impl std::ops::AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.errors += other.errors;
        self.words += other.words;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(said: &str, written: &str) -> u64 {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        WordErrors::between(&words(said), &words(written)).errors
    }

    #[test]
    fn counts_the_fewest_changes() {
        assert_eq!(errors("a b c", "a b c"), 0);
        assert_eq!(errors("a b c", "a x c"), 1);
        assert_eq!(errors("a b c", "b c d"), 2);
        assert_eq!(errors("a b c", ""), 3);
        assert_eq!(errors("", "a"), 1);
    }
}
