//! Templates as users write them, against what Go prints.

use serde_json::json;

use super::*;
use crate::shape::{Member, Shape, Type};

fn print(template: &str, value: &Value) -> Result<String, String> {
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    template.execute(value, Execution::Values).map_err(|error| error.to_string())
}

fn document() -> Value {
    Value::from_json(&json!({
        "Id": "sha256:abc", "Size": 1_982_581, "Ratio": 0.5, "Big": 12_345_678_901_234_567_890_u64,
        "Tags": ["a:1", "b:2"], "Empty": [], "Nothing": null, "Flag": true, "Html": "<a&b>",
        "Config": {"Env": ["A=b", "C=d"], "Labels": {"z": "1", "a": "2"}, "Cmd": null},
        "List": [{"Name": "x", "N": 1}, {"Name": "y", "N": 2}],
    }))
}

#[test]
fn values_print_as_go_prints_them() {
    for (template, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("{{.Id}}", "sha256:abc"),
        ("{{ .Id }}", "sha256:abc"),
        ("{{.Tags}}", "[a:1 b:2]"),
        ("{{.Empty}}", "[]"),
        ("{{.Nothing}}", "<no value>"),
        ("{{.Absent}}", "<no value>"),
        ("{{.Absent.Deeper}}", "<no value>"),
        ("{{.Flag}} {{.Ratio}} {{.Size}} {{.Big}}", "true 0.5 1982581 12345678901234567890"),
        ("{{.Config.Env}}", "[A=b C=d]"),
        ("{{.Config.Labels}}", "map[a:2 z:1]"),
        ("{{.Config}}", "map[Cmd:<nil> Env:[A=b C=d] Labels:map[a:2 z:1]]"),
        ("{{.List}}", "[map[N:1 Name:x] map[N:2 Name:y]]"),
        ("{{index .Tags 0}}", "a:1"),
        ("{{index .Config.Labels \"z\"}}", "1"),
        ("{{(index .List 1).Name}}", "y"),
        ("{{with index .List 1}}{{.Name}}{{end}}", "y"),
        ("{{json .Tags}}", r#"["a:1","b:2"]"#),
        ("{{json .Nothing}}", "null"),
        ("{{json .Html}}", r#""<a&b>""#),
        ("{{json .Config}}", r#"{"Cmd":null,"Env":["A=b","C=d"],"Labels":{"a":"2","z":"1"}}"#),
        ("{{join .Tags \", \"}}", "a:1, b:2"),
        ("{{.Id | upper | printf \"%q\"}}", "\"SHA256:ABC\""),
        (
            "{{lower \"ABC\"}} {{title \"a b\"}} {{pad \"x\" 1 2}}| {{truncate .Id 6}}",
            "abc A B  x  | sha256",
        ),
        ("{{split .Id \":\"}} {{len .Tags}} {{slice .Id 7}}", "[sha256 abc] 2 abc"),
        ("{{print 1 2 \"x\" true}} {{println \"y\"}}", "1 2xtrue y\n"),
        (
            "{{html .Html}} {{urlquery \"a b/c\"}} {{js \"'<\"}}",
            "&lt;a&amp;b&gt; a+b%2Fc \\'\\u003C",
        ),
    ] {
        assert_eq!(print(template, &document()).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn control_flow_is_gos() {
    for (template, expected) in [
        ("{{if .Flag}}y{{else}}n{{end}}", "y"),
        ("{{if .Empty}}y{{else if .Flag}}z{{else}}n{{end}}", "z"),
        (
            "{{if and .Flag .Empty}}y{{else}}n{{end}}{{if or .Empty .Flag}}y{{end}}{{if not .Absent}}!{{end}}",
            "ny!",
        ),
        ("{{range .Tags}}<{{.}}>{{end}}", "<a:1><b:2>"),
        ("{{range $i, $t := .Tags}}{{if $i}}, {{end}}{{$i}}={{$t}}{{end}}", "0=a:1, 1=b:2"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=2;z=1;"),
        (
            "{{range .Empty}}x{{else}}none{{end}}{{range .Absent}}x{{else}}absent{{end}}",
            "noneabsent",
        ),
        ("{{range .Tags}}{{if eq . \"b:2\"}}{{break}}{{end}}{{.}}{{end}}", "a:1"),
        ("{{range .Tags}}{{if eq . \"a:1\"}}{{continue}}{{end}}{{.}}{{end}}", "b:2"),
        (
            "{{with .Config}}{{len .Env}}{{$.Id}}{{end}}{{with .Absent}}x{{else}}-{{end}}",
            "2sha256:abc-",
        ),
        ("{{$x := .Id}}{{with .Config}}{{$x}}{{end}}", "sha256:abc"),
        ("{{$n := \"a\"}}{{range .Tags}}{{$n = .}}{{end}}{{$n}}", "b:2"),
        (
            "{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" .Id}}{{block \"B\" .Flag}}({{.}}){{end}}",
            "[sha256:abc](true)",
        ),
        ("a {{- \" b \" -}} c{{/* gone */}} {{- /* trims */ -}} d", "a b cd"),
        (
            "{{eq 1 2 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{ge 2 2}} {{gt 1.5 0.5}}",
            "true true true true true",
        ),
        (
            "{{printf \"%-5s|%5d|%05d|%x|%.2f|%v|%t|%%\" \"ab\" 42 -7 255 1.005 .Tags true}}",
            "ab   |   42|-0007|ff|1.00|[a:1 b:2]|true|%",
        ),
        (
            "{{printf \"%d %s\" \"x\"}} {{printf \"%s\" 1 2}}",
            "%!d(string=x) %!s(MISSING) %!s(int=1)%!(EXTRA int=2)",
        ),
        (
            "{{1_000}} {{0x10}} {{'a'}} {{-3}} {{1e3}} {{`raw\\n`}} {{\"\\u00e9\\x41\\101\"}}",
            "1000 16 97 -3 1000 raw\\n \u{e9}AA",
        ),
    ] {
        assert_eq!(print(template, &document()).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn widths_and_precisions_are_as_large_as_gos() {
    let zeros = |count: usize| "0".repeat(count);
    for (template, expected) in [
        ("{{printf \"%.70000f\" 1.5}}", format!("1.5{}", zeros(69_999))),
        ("{{printf \"%.*e\" 70000 1.5}}", format!("1.5{}e+00", zeros(69_999))),
        ("{{printf \"%.70000g %.70000v\" 1.5 1.5}}", "1.5 1.5".to_owned()),
        ("{{printf \"%70000d\" 7}}", format!("{}7", " ".repeat(69_999))),
        ("{{printf \"%01000001d\" 7}}", format!("{}7", zeros(1_000_000))),
        ("{{printf \"a%10000010d b\" 7}}", "a%!(NOVERB)%!(EXTRA int=7)".to_owned()),
        ("{{printf \"%.99999999999999999999f\" 7}}", "%!(NOVERB)%!(EXTRA int=7)".to_owned()),
        ("{{printf \"%*d\" 1000001 7}}", "%!(BADWIDTH)7".to_owned()),
        ("{{printf \"%.*f\" 1000001 7.5}}", "%!(BADPREC)7.500000".to_owned()),
    ] {
        let printed = print(template, &document());
        assert!(printed.as_ref() == Ok(&expected), "{template}: {printed:.80?}");
    }
}

#[test]
fn integers_reach_from_the_least_to_the_greatest() {
    for (literal, expected) in [
        ("-9223372036854775808", "int -9223372036854775808"),
        ("-0x8000000000000000", "int -9223372036854775808"),
        ("-0b1_1", "int -3"),
        ("9223372036854775807", "int 9223372036854775807"),
        ("+0o17", "int 15"),
    ] {
        let template = format!("{{{{printf \"%T %v\" {literal} {literal}}}}}");
        assert_eq!(print(&template, &document()).as_deref(), Ok(expected), "{literal}");
    }
    let error = print("{{-9223372036854775809}}", &document()).unwrap_err();
    assert_eq!(error, "template: :1: integer overflow: \"-9223372036854775809\"");
    for literal in ["0x-1", "--1", "1e999"] {
        let error = print(&format!("{{{{{literal}}}}}"), &document()).unwrap_err();
        assert!(error.contains("bad number syntax"), "{literal}: {error}");
    }
}

#[test]
fn mistakes_are_told_where_they_are() {
    for (template, expected) in [
        ("{{.Id", "template: :1: unclosed action"),
        ("x\n{{foo}}", "template: :2: function \"foo\" not defined"),
        ("{{$x}}", "template: :1: undefined variable \"$x\""),
        ("{{if .Id}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{\"abc}}", "template: :1: unterminated quoted string"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{/* x }}", "template: :1: unclosed comment"),
        (
            "{{index .Tags 9}}",
            "template: :1:2: executing \"\" at <index .Tags 9>: error calling index: index out of range: 9",
        ),
        (
            "{{.Id.X}}",
            "template: :1:5: executing \"\" at <.Id.X>: can't evaluate field X in type string",
        ),
        (
            "{{upper .Tags}}",
            "template: :1:8: executing \"\" at <.Tags>: wrong type for value; expected string; got []interface {}",
        ),
        (
            "{{.Id 1}}",
            "template: :1:2: executing \"\" at <.Id>: Id is not a method but has arguments",
        ),
        (
            "{{len 3 4}}",
            "template: :1:2: executing \"\" at <len>: wrong number of args for len: want 1 got 2",
        ),
        (
            "{{range .Id}}{{end}}",
            "template: :1:8: executing \"\" at <.Id>: range can't iterate over sha256:abc",
        ),
        (
            "{{pad \"x\" 99999999 0}}",
            "template: :1:2: executing \"\" at <pad \"x\" 99999999 0>: error calling pad: more than 1000000 spaces",
        ),
    ] {
        assert_eq!(print(template, &document()), Err(expected.to_owned()), "{template}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("{{if .Id}}", "{{end}}"), ("{{(", ")}}")] {
        let deep = 100_000;
        let template = match open {
            "{{(" => format!("{{{{{}.Id{}}}}}", "(".repeat(deep), ")".repeat(deep)),
            _ => open.repeat(deep) + &close.repeat(deep),
        };
        let error = print(&template, &document()).unwrap_err();
        assert!(error.contains("nested too deeply"), "{error}");
    }
    let chain = format!(
        "{}{{{{end}}}}",
        "{{if .Empty}}{{else if .Empty}}".to_owned() + &"{{else if .Empty}}".repeat(100_000)
    );
    assert!(print(&chain, &document()).unwrap_err().contains("nested too deeply"));
    let endless = "{{define \"T\"}}{{template \"T\" .}}{{end}}{{template \"T\" .}}";
    let message = "exceeded maximum template depth (100000)";
    assert!(print(endless, &document()).unwrap_err().ends_with(message));
    // Every shape of a level, on the stack that a thread has, with as much below the last call as a template can have.
    for (open, close) in [
        ("{{if true}}", "{{end}}"),
        ("{{if false}}{{else}}", "{{end}}"),
        ("{{with $}}", "{{end}}"),
        ("{{range $k, $v := $.m}}", "{{end}}"),
    ] {
        for depth in [0, 125] {
            let body = open.repeat(depth) + "{{template \"a\" $}}" + &close.repeat(depth);
            let deep = format!("{}.{}", "(or false ".repeat(123), ")".repeat(123));
            let template = format!(
                "{{{{define \"a\"}}}}{{{{$x := {deep}}}}}{body}{{{{end}}}}{{{{template \"a\" .}}}}"
            );
            let thread = std::thread::Builder::new().stack_size(2 << 20);
            let value = Value::from_json(&json!({"m": {"k": 1}}));
            let run = thread.spawn(move || print(&template, &value)).unwrap();
            let error = run.join().unwrap().unwrap_err();
            assert!(error.ends_with(message), "{open} {depth}: {error}");
        }
    }
}

#[test]
fn what_a_template_makes_is_bounded() {
    for template in [
        "{{$x := \"a\"}}{{range 40}}{{$x = print $x $x}}{{end}}",
        "{{$x := \"a\"}}{{range 40}}{{$x = html $x \"&\" $x}}{{end}}",
        "{{$x := printf \"%1000000d\" 1}}{{range 1000}}{{$x}}{{end}}",
        &format!("{{{{range 1000000}}}}{}{{{{end}}}}", "text ".repeat(2_000)),
        "{{printf \"%[1]10000000d%[1]10000000d%[1]10000000d%[1]10000000d%[1]10000000d%[1]10000000d%[1]10000000d%[1]d\" 1}}",
        "{{split (printf \"%2000000d\" 1) \"\"}}",
        "{{$x := printf \"%100000d\" 1}}{{join (split $x \"\") $x}}",
        "{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" printf \"%1000000d\" 1}}",
        "{{define \"a\"}}{{template \"a\" print . .}}{{end}}{{template \"a\" \"x\"}}",
    ] {
        let error = print(template, &document()).unwrap_err();
        assert!(error.ends_with("more than 64 MiB of text and values"), "{template}: {error}");
    }
    let printed = print("{{range 100000}}{{.}}\n{{end}}", &document()).unwrap();
    assert_eq!(printed.len(), 588_890);
}

static INNER: Type = Type {
    name: "inner",
    members: &[
        Member::optional("Env", Shape::List(&Shape::Text)),
        Member::optional("User", Shape::Text),
    ],
};
static OUTER: Type = Type {
    name: "outer",
    members: &[
        Member::new("ID", Shape::Text).key("Id"),
        Member::embedded("Inner", &INNER),
        Member::new("Labels", Shape::Map(&Shape::Text)),
        Member::new("Size", Shape::Int),
        Member::new("Parent", Shape::Pointer(&INNER)),
        Member::new("When", Shape::Time),
        Member::optional("Note", Shape::Text),
    ],
};

#[test]
fn structs_have_their_own_names_order_and_empty_values() {
    let value = Shape::Structure(&OUTER).read(Some(&json!({
        "Size": 7, "Id": "x", "Env": ["A=b"], "Labels": null, "When": "2026-11-21T17:54:39.19Z", "Unknown": 1
    })));
    for (template, expected) in [
        ("{{.ID}} {{.Size}} {{.Env}} {{.Labels}} {{.User}}.", "x 7 [A=b] map[] ."),
        ("{{.Parent}} {{json .Parent}} {{json .Labels}}", "<nil> null null"),
        ("[{{index .Labels \"absent\"}}] {{.Labels.absent}}", "[] <no value>"),
        ("{{.When}}", "2026-11-21 17:54:39.19 +0000 UTC"),
        (
            "{{json .}}",
            r#"{"Id":"x","Env":["A=b"],"Labels":null,"Size":7,"Parent":null,"When":"2026-11-21T17:54:39.19Z"}"#,
        ),
        ("{{.}}", "{x {[A=b] } map[] 7 <nil> 2026-11-21 17:54:39.19 +0000 UTC }"),
        ("{{if gt .Size 6}}big{{end}}", "big"),
    ] {
        assert_eq!(print(template, &value).as_deref(), Ok(expected), "{template}");
    }
    for (template, expected) in [
        ("{{.Id}}", "can't evaluate field Id in type outer"),
        ("{{.Parent.Env}}", "nil pointer evaluating interface {}.Env"),
    ] {
        assert!(print(template, &value).unwrap_err().ends_with(expected), "{template}");
    }
    let strict = Template::parse("{{.Absent}}").unwrap().execute(&document(), Execution::Strict);
    assert!(strict.unwrap_err().to_string().ends_with("map has no entry for key \"Absent\""));
}

#[test]
fn lists_are_tables_lines_or_json() {
    let row = |repository: &str, tag: &str| {
        Value::Structure(Structure {
            type_name: "row",
            fields: vec![
                Field::new("Tag", Value::from(tag)),
                Field::new("Repository", Value::from(repository)),
            ]
            .into(),
            marshal: Marshal::Row,
        })
    };
    let rows = [row("a/long/repository", "1"), row("<none>", "latest")];
    let headers = [("Repository", "REPOSITORY"), ("Tag", "TAG")];
    for (format, expected) in [
        (
            "table {{.Repository}}\\t{{upper .Tag}}",
            "REPOSITORY          TAG\na/long/repository   1\n<none>              LATEST\n",
        ),
        ("table {{.Tag}}\t{{.Nope}}", ""),
        ("{{.Repository}}:{{.Tag}}", "a/long/repository:1\n<none>:latest\n"),
        ("{{.Tag}}\\n-", "1\n-\nlatest\n-\n"),
        (
            "json",
            "{\"Repository\":\"a/long/repository\",\"Tag\":\"1\"}\n{\"Repository\":\"\\u003cnone\\u003e\",\"Tag\":\"latest\"}\n",
        ),
        ("{{json .Repository}}", "\"a/long/repository\"\n\"<none>\"\n"),
        ("table", "\n\n\n"),
    ] {
        let listing = Listing { format, headers: &headers };
        assert_eq!(listing.render(&rows).unwrap_or_default(), expected, "{format}");
    }
    let listing = Listing { format: "table {{.Repository}}\t{{.Tag}}", headers: &headers };
    assert_eq!(listing.render(&[]).unwrap(), "REPOSITORY   TAG\n");
}

#[test]
fn raw_json_keeps_its_order_and_spelling() {
    let raw = r#"[ {"b":1.0,"a":"x, {y}: \"z\\","e":{},"l":[],"n":[1,{"k":null}]} ]"#;
    assert_eq!(
        json::compact(raw),
        r#"[{"b":1.0,"a":"x, {y}: \"z\\","e":{},"l":[],"n":[1,{"k":null}]}]"#
    );
    let expected = r#"[
    {
        "b": 1.0,
        "a": "x, {y}: \"z\\",
        "e": {},
        "l": [],
        "n": [
            1,
            {
                "k": null
            }
        ]
    }
]"#;
    assert_eq!(json::indent(raw), expected);
}
