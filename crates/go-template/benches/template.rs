//! Templates as `--format` has them, over one document each.

use go_template::{Execution, Template, Value};

fn main() {
    divan::main();
}

const TEMPLATES: [&str; 3] = [
    "{{.Id}}",
    "table {{.Id}}\t{{.Size}}\t{{join .Tags \", \"}}",
    "{{range $key, $value := .Config.Labels}}{{printf \"%s=%q \" $key $value}}{{end}}{{json .}}",
];

fn document() -> Value {
    Value::from_json(&serde_json::json!({
        "Id": "sha256:abcdef", "Size": 1_982_581, "Tags": ["a:1", "b:2"],
        "Config": {"Env": ["A=b"], "Labels": {"maintainer": "me", "version": "1.2.3", "z": "<1>"}},
    }))
}

#[divan::bench(args = TEMPLATES)]
fn parse(text: &str) {
    divan::black_box(Template::parse(text)).expect("the template is wrong");
}

#[divan::bench(args = TEMPLATES)]
fn execute(bencher: divan::Bencher, text: &str) {
    let (template, document) = (Template::parse(text).expect("the template is wrong"), document());
    bencher.bench(|| template.execute(&document, Execution::Values));
}
