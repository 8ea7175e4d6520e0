//! Notes beside a command's output, as Docker sets them off.

/// The columns that the header takes.
const HEADER_WIDTH: usize = 9;

/// Returns a note: an empty line, `Info ->`, and the text with its further lines indented.
pub(crate) fn note(text: &str, is_terminal: bool) -> String {
    let header = if is_terminal {
        "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo \u{2192} \x1b[0m\x1b[0m"
    } else {
        " Info -> "
    };
    let mut note = format!("\n{header}");
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            note.extend(std::iter::repeat_n(' ', HEADER_WIDTH));
        }
        if is_terminal {
            note.extend(["\x1b[3m", line, "\x1b[0m\n"]);
        } else {
            note.push_str(line);
            note.push('\n');
        }
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_lines_stand_below_the_first() {
        assert_eq!(note("a\nb", false), "\n Info -> a\n         b\n");
        assert!(note("a", true).ends_with("\x1b[3ma\x1b[0m\n"));
    }
}
