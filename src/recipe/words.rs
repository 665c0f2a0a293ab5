//! Words that were probably meant: similar ones, and those that other frameworks use.

/// The word of `known` that was probably meant, or all of them.
pub(super) fn suggest(found: &str, known: &[&str]) -> String {
    match meant(found, known) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

/// The word of `known` that was probably meant, if one is similar or means the same.
pub(super) fn meant<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    nearest(found, known)
}

/// The word of `known` that was probably meant, if one is similar.
pub fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let (changes, word) = known.iter().map(|word| (strsim::levenshtein(found, word), *word)).min()?;
    (changes <= 1 + found.len().min(word.len()) / 4).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(suggest("filtres", &["kernel", "filters"]), "did you mean \"filters\"?");
        assert_eq!(suggest("dilation", &["kernel", "filters"]), "expected one of kernel, filters");
    }
}
