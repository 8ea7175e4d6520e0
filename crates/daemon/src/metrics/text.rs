//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

/// The name of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A document of metrics being written.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// Begins the samples of one metric. `kind` is `counter`, `gauge` or `histogram`.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes a sample.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escape(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// Writes a metric that has one sample.
    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_the_format_wants_them() {
        let mut text = Text::default();
        text.single("a_total", "counter", "Things.", 3.0);
        text.family("b", "gauge", "More.");
        text.sample("b", &[("x", "a\"b\\c\nd"), ("y", "")], 0.5);
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total 3\n# HELP b More.\n# TYPE b gauge\n\
                        b{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 0.5\n";
        assert_eq!(text.finish(), expected);
    }
}
