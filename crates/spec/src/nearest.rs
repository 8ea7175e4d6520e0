//! The word that may have been meant by one that is none.

/// The longest word that is compared, in bytes: longer ones are no slip, and each costs the product of the lengths.
const MAX_WORD: usize = 40;

/// Returns the word of `known` that is almost `word`: up to two letters more, less, other or exchanged.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    // Of a short word little is left once two letters are others.
    let most = if word.chars().count() <= 3 { 1 } else { 2 };
    let distances = known.into_iter().map(|known| (strsim::osa_distance(word, known), known));
    let (_, nearest) = distances.filter(|(far, _)| *far <= most).min_by_key(|(far, _)| *far)?;
    Some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_known_and_other_words_are_not() {
        let known = ["pull", "push", "registry-mirrors", "rmi"];
        for (word, expected) in [
            ("pul", Some("pull")),
            ("plul", Some("pull")),
            ("pusj", Some("push")),
            ("registry-mirors", Some("registry-mirrors")),
            ("rm", Some("rmi")),
            ("ls", None),
            ("run", None),
            ("", None),
            ("registry", None),
            (&"x".repeat(MAX_WORD + 1), None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
