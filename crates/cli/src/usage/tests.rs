use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

#[test]
fn the_tree_of_commands_is_sound() {
    grammar().debug_assert();
    tree().debug_assert();
}

#[test]
fn help_fits_a_terminal_of_common_size_and_says_what_a_command_does() {
    fn check(command: &Command) {
        let help = shown(command);
        let name = command.get_name();
        for line in help.lines() {
            assert!(line.chars().count() <= WIDTH, "{name}: {line}");
        }
        assert!(command.get_about().is_some(), "{name}");
        command.get_subcommands().for_each(check);
    }
    check(&tree());
    check(&detailed());
}

/// Calls `each` with every command that is shown, and its path.
fn walk(command: &Command, path: &[&str], each: &mut impl FnMut(&Command, &[&str])) {
    each(command, path);
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        walk(verb, &[path, &[verb.get_name()]].concat(), each);
    }
}

#[test]
fn every_command_is_in_a_group() {
    let tree = tree();
    let grouped: Vec<&str> = texts::GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    for verb in tree.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(grouped.contains(&verb.get_name()), "{} is in no group", verb.get_name());
    }
    for name in &grouped {
        assert!(tree.find_subcommand(name).is_some(), "{name}");
    }
}

/// Returns the words of the part of a line that calls the program, as a shell reads them.
fn words_of_example(line: &str) -> Vec<OsString> {
    let call = line.split(" | ").find(|part| part.contains("longshore ")).expect(line);
    let call = &call[call.find("longshore ").unwrap()..];
    let mut words = Vec::new();
    // What stands in quotes is one word.
    for (at, part) in call.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(OsString::from(part));
            continue;
        }
        let end = part.find([')', '<', '>']).unwrap_or(part.len());
        words.extend(part[..end].split_whitespace().map(OsString::from));
        if end < part.len() {
            break;
        }
    }
    words
}

#[test]
fn every_command_has_examples_that_are_right_and_names_its_keys() {
    walk(&tree(), &[], &mut |command, path| {
        let examples = texts::examples(path);
        assert!(examples.len() >= 2, "{path:?} has {} examples", examples.len());
        assert!(examples.iter().any(|(told, _)| !told.is_empty()), "{path:?}");
        for (told, example) in &examples {
            assert!(!told.is_empty(), "{example}: nothing says what it does");
            let read = parse(words_of_example(example));
            assert!(matches!(read, Ok(Request::Run(_))), "{example}: {read:?}");
        }
        // Of a group its verbs are the examples; `image pull` may be shown as `pull`.
        let own = path.strip_prefix(&["image"]).unwrap_or(path).join(" ");
        let is_shown = |(_, line): &(_, String)| {
            let aliases = [("ls", "images"), ("rm", "rmi"), ("system ", "")];
            line.contains(&own)
                || aliases.iter().any(|(long, short)| line.contains(&own.replace(long, short)))
        };
        assert!(examples.iter().any(is_shown), "{path:?}: {examples:?}");
        let has = |name: &str| {
            let flag = command.get_arguments().find(|arg| arg.get_long() == Some(name));
            // `copy --format` has two values, which its own help tells.
            flag.is_some() && !path.starts_with(&["copy"])
        };
        let sections = texts::sections(path);
        let keys = sections.iter().filter(|(title, _)| *title == "Keys");
        let keys: Vec<&str> = keys.flat_map(|(_, lines)| lines).copied().collect();
        for name in ["filter", "format"] {
            let told = keys.iter().any(|line| line.starts_with(&format!("--{name}")));
            assert_eq!(told, has(name), "--{name} of {path:?}");
        }
    });
}

#[test]
fn the_list_of_a_group_has_a_line_or_two_a_command() {
    let Request::Help(help) = parse(words("longshore image --help")).unwrap() else { panic!() };
    assert!(help.contains("\n  prune    Remove unused images\n  inspect "), "{help}");
    assert!(help.contains("\nExamples:\n  # The images that are here"), "{help}");
}

#[test]
fn the_program_shows_its_commands_in_groups() {
    for line in ["longshore --help", "longshore help"] {
        let Request::Help(help) = parse(words(line)).unwrap() else { panic!("{line}") };
        for part in [
            "\nImages:\n  pull       Download an image from a registry\n",
            "\nRegistries:\n  login ",
            "\nStore and daemon:\n  daemon ",
            "\nExit status:\n  0    done\n",
        ] {
            assert!(help.contains(part), "{part}\n{help}");
        }
        assert!(
            help.ends_with("Run 'longshore COMMAND --help' for more information on a command.\n"),
            "{help}"
        );
    }
    let Request::Help(help) = parse(words("longshore image ls --help")).unwrap() else { panic!() };
    for part in [
        "\n  # The platforms of each image\n  longshore image ls --tree\n",
        "\nKeys:\n  --filter: before, dangling",
    ] {
        assert!(help.contains(part), "{help}");
    }
}

#[test]
fn the_help_that_is_asked_for_by_its_name_tells_all() {
    for (line, part) in [
        ("longshore sync --help", "  targets = [\"mirror.example/alpine\", \"oci:/srv/alpine\"]"),
        ("longshore copy --help", "oci-archive:FILE"),
        ("longshore help registry rm", "NAME:TAG deletes the tag alone"),
    ] {
        let Request::Help(help) = parse(words(line)).unwrap() else { panic!("{line}") };
        assert!(help.contains(part), "{line}: {help}");
        assert!(!help.contains("see more"), "{line}: {help}");
    }
    let Request::Help(short) = parse(words("longshore copy -h")).unwrap() else { panic!("-h") };
    assert!(!short.contains("oci-archive:FILE"), "{short}");
}

#[test]
fn global_flags_stand_on_either_side_of_the_verb() {
    for line in ["longshore --data-root /d images -q", "longshore images -q --data-root /d"] {
        let Request::Run(parsed) = parse(words(line)).unwrap() else { panic!("{line}") };
        assert_eq!(
            parsed.globals.engine.data_root.as_deref(),
            Some(std::path::Path::new("/d")),
            "{line}"
        );
    }
}

#[test]
fn help_names_the_verb_and_its_flags() {
    for (line, parts) in [
        ("longshore --help", ["Usage:  longshore [OPTIONS] COMMAND", "pull ", "--data-root"]),
        (
            "longshore pull --help",
            [
                "Usage:  longshore pull [OPTIONS] NAME[:TAG|@DIGEST]",
                "Download an image",
                "-a, --all-tags",
            ],
        ),
        (
            "longshore image ls --help",
            [
                "Usage:  longshore image ls [OPTIONS] [REPOSITORY[:TAG]]",
                "List images",
                "--no-trunc",
            ],
        ),
    ] {
        let Request::Help(help) = parse(words(line)).unwrap() else { panic!("{line}") };
        for part in parts {
            assert!(help.contains(part), "{line}: {part}\n{help}");
        }
    }
    for (topic, flag) in [
        ("longshore help", "longshore --help"),
        ("longshore help pull", "longshore pull --help"),
        ("longshore help image pull", "longshore image pull --help"),
        ("longshore help image", "longshore image --help"),
    ] {
        let (Request::Help(topic), Request::Help(flag)) =
            (parse(words(topic)).unwrap(), parse(words(flag)).unwrap())
        else {
            panic!("{topic}")
        };
        assert_eq!(topic, flag);
    }
    for (line, same) in [
        ("longshore images a b --help", "longshore images --help"),
        ("longshore image --help pull", "longshore image pull --help"),
        ("longshore image frob --help", "longshore image --help"),
        ("longshore frob --help", "longshore --help"),
    ] {
        let (Request::Help(help), Request::Help(same)) =
            (parse(words(line)).unwrap(), parse(words(same)).unwrap())
        else {
            panic!("{line}")
        };
        assert_eq!(help, same, "{line}");
    }
    let Request::Help(help) = parse(words("longshore tag -h a")).unwrap() else { panic!("-h") };
    let deprecated = "Flag shorthand -h has been deprecated, use --help\nUsage:  longshore tag ";
    assert!(help.starts_with(deprecated), "{help}");
    for line in ["longshore", "longshore -v=false", "longshore -v --version=false"] {
        assert!(matches!(parse(words(line)).unwrap(), Request::Nothing(_)), "{line}");
    }
    assert!(matches!(parse(words("longshore image")).unwrap(), Request::Nothing(_)));
}
