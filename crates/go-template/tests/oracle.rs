//! The crate beside another one that was written by others, `gotmpl`: what both make of a template.
//!
//! Go is right where they differ, and was asked: `gotmpl` takes a template that ends too early or has an `{{end}}` too many,
//! refuses a pipe before the end, and leaves out flags of `printf`, whose tables stand beside the code.

use go_template::{Element, Execution, Template, Value};
use gotmpl::tmap;

/// Runs a template by this crate; a failure is one, whatever its words.
fn ours(template: &str) -> Option<String> {
    let text = |text: &str| Value::from(text);
    let members = [
        ("Id", text("sha256:abc")),
        ("Html", text("<a & 'b'>")),
        ("Empty", text("")),
        ("Number", Value::Int(42)),
        ("Below", Value::Int(-7)),
        ("Zero", Value::Int(0)),
        ("Part", Value::Float(1.5)),
        ("Yes", Value::Bool(true)),
        ("No", Value::Bool(false)),
        ("Tags", Value::from(vec!["a:1".to_owned(), "b:2".to_owned()])),
        ("None", Value::List(Some(Vec::new()))),
    ];
    let members = members.map(|(name, value)| (name.to_owned(), value));
    let value = Value::Map(Some(members.into()), Element::Any);
    Template::parse(template).ok()?.execute(&value, Execution::Values).ok()
}

/// Runs a template by the other crate.
fn theirs(template: &str) -> Option<String> {
    let value = tmap! {
        "Id" => "sha256:abc", "Html" => "<a & 'b'>", "Empty" => "",
        "Number" => 42_i64, "Below" => -7_i64, "Zero" => 0_i64, "Part" => 1.5_f64,
        "Yes" => true, "No" => false, "Tags" => vec!["a:1", "b:2"], "None" => Vec::<&str>::new(),
    };
    gotmpl::Template::new("").parse(template).ok()?.execute_to_string(&value).ok()
}

#[track_caller]
fn assert_same(templates: impl IntoIterator<Item = String>) {
    let differ = templates.into_iter().filter_map(|template| {
        let (ours, theirs) = (ours(&template), theirs(&template));
        (ours != theirs).then(|| format!("{template}\n  here  {ours:?}\n  there {theirs:?}"))
    });
    let differ: Vec<String> = differ.collect();
    assert!(differ.is_empty(), "{}\n{} differ", differ.join("\n"), differ.len());
}

#[test]
fn control_flow_and_functions() {
    let templates = [
        "plain {{.Id}} {{ .Number }}{{- .Part -}} {{/* gone */}} .",
        "{{.Absent}} {{.Absent.Deeper}}",
        "{{range .Tags}}<{{.}}>{{else}}none{{end}}{{range .None}}x{{else}}none{{end}}",
        "{{range $i, $t := .Tags}}{{if $i}}, {{end}}{{$i}}={{$t}}{{end}}",
        "{{range $t := .Tags}}{{if eq $t `a:1`}}{{continue}}{{end}}{{$t}}{{break}}{{end}}",
        "{{range 3}}{{.}}{{end}}",
        "{{$n := 1}}{{range .Tags}}{{$n = .}}{{end}}{{$n}}",
        "{{with .Id}}{{.}}{{$.Number}}{{else}}no{{end}}{{with .Empty}}x{{else with .Yes}}y{{end}}",
        "{{if .No}}a{{else if .Zero}}b{{else if .Part}}c{{end}}",
        "{{if and .Yes .Number}}a{{end}}{{if or .No .Empty}}b{{else}}c{{end}}{{not .Zero}}",
        "{{and .Yes .Zero .Absent.X}} {{or .Empty .Number .Absent.X}}",
        "{{define `T`}}[{{.}}]{{end}}{{template `T` .Id}}{{block `B` .Number}}({{.}}){{end}}",
        "{{eq .Number 42}} {{eq .Id `x` `sha256:abc`}} {{ne 1 2}} {{lt .Below .Zero}} {{le 2 2}}",
        "{{gt .Part 0.5}} {{ge `b` `a`}} {{eq .Yes true}}",
        "{{len .Tags}} {{len .Id}} {{len .None}} {{index .Tags 1}} {{slice .Id 7}} {{slice .Id 0 6}}",
        "{{slice .Tags 1}} {{index . `Id`}}",
        "{{html .Html}} {{js .Html}} {{urlquery .Html}} {{print 1 2 `x` true 3}} {{println .Id 1}}",
        "{{.Id | printf `%s-%s` `a`}} {{printf `%d %s` .Number .Id | len}}",
        "{{`raw\\n`}} {{\"\\u00e9\\x41\\101\\t\"}} {{'a'}} {{0x10}} {{1_000}} {{1e3}} {{-3}} {{.5}}",
        "{{(index .Tags 0)}} {{(.Id)}} {{with $x := .Number}}{{$x}}{{end}}",
        "a\n{{- \" b \" -}}\nc",
        // Faults.
        "{{",
        "{{}}",
        "{{.Id",
        "{{foo}}",
        "{{$x}}",
        "{{\"a}}",
        "{{'ab'}}",
        "{{.Id.X}}",
        "{{.Number 1}}",
        "{{index .Tags 9}}",
        "{{index .Id `x`}}",
        "{{len 3}}",
        "{{break}}",
        "{{range .Id}}{{break}",
        "{{template `absent`}}",
        "{{slice .Id 3 1}}",
        "{{lt 1 `a`}}",
        "{{eq 1 `a`}}",
        "{{/* x }}",
        "{{1 | 2}}",
        "{{| .Id}}",
        "{{(.Id}}",
        "{{.Id)}}",
        "{{range $a, $b, $c := .Tags}}{{end}}",
    ];
    assert_same(templates.map(str::to_owned));
}
