//! The documents show commands that CI runs and link to files that exist, and all source files keep
//! to the line width.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use ignore::WalkBuilder;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The width that rustfmt gives to code, for everything that it leaves alone.
const WIDTH: usize = 100;

#[test]
fn ci_runs_every_cargo_command_that_the_documents_show() {
    let aliases = aliases(&fs::read_to_string(root().join(".cargo/config.toml")).unwrap());
    let ci = cargo_commands(&fs::read_to_string(root().join(".ci/run")).unwrap(), &aliases);
    // An alias that a document shows without a subcommand stands for all of its commands.
    let runs = |command: &String| {
        let alias = command.strip_prefix("cargo ").filter(|word| aliases.contains(*word));
        ci.contains(command)
            || alias.is_some_and(|_| ci.iter().any(|other| other.starts_with(command)))
    };
    let mut missing = Vec::new();
    for (path, document) in documents() {
        for command in cargo_commands(&code(&document), &aliases) {
            if !runs(&command) {
                missing.push(format!("{}: {command}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "add to .ci/run, or remove:\n{}", missing.join("\n"));
}

#[test]
fn every_alias_is_documented() {
    let aliases = aliases(&fs::read_to_string(root().join(".cargo/config.toml")).unwrap());
    let mut shown = BTreeSet::new();
    for document in documents().values() {
        shown.extend(cargo_commands(&code(document), &aliases));
    }
    let undocumented: Vec<_> = aliases
        .iter()
        .filter(|alias| !shown.iter().any(|command| command.split(' ').nth(1) == Some(alias)))
        .collect();
    assert!(undocumented.is_empty(), "no document shows the aliases {undocumented:?}");
}

#[test]
fn relative_links_of_the_documents_lead_to_existing_files_and_headings() {
    let documents = documents();
    let mut broken = Vec::new();
    for (path, document) in &documents {
        for link in links(document) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => Ok(root().join(path)),
                file => fs::canonicalize(root().join(path).parent().unwrap().join(file)),
            };
            let has_anchor = |target: &Path| {
                let document = target.strip_prefix(root()).ok().and_then(|at| documents.get(at));
                document.is_none_or(|document| anchors(document).contains(anchor))
            };
            match target {
                Ok(target) if anchor.is_empty() || has_anchor(&target) => {}
                _ => broken.push(format!("{}: {link}", path.display())),
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn sections_of_documents_that_code_and_template_name_exist() {
    let documents = documents();
    let mut missing = Vec::new();
    for (path, text) in files() {
        if path.extension().is_none_or(|extension| extension != "rs" && extension != "yaml") {
            continue;
        }
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '`' | '(' | ')'));
        // Not what is put together at run time.
        for word in words.filter(|word| word.starts_with("docs/") && !word.contains('{')) {
            let Some((file, anchor)) = word.split_once('#') else { continue };
            let document = documents.get(Path::new(file));
            if !document.is_none_or(|document| anchors(document).contains(anchor)) {
                missing.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "these sections do not exist:\n{}", missing.join("\n"));
}

#[test]
fn no_line_of_source_is_wider_than_100_columns() {
    let mut wide = Vec::new();
    for (path, text) in files() {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let source = matches!(extension, Some("rs" | "yaml" | "py" | "sh"));
        if !source && !text.starts_with("#!") {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let width = line.chars().count();
            if width > WIDTH {
                wide.push(format!("{}:{number}: {width} columns", path.display()));
            }
        }
    }
    assert!(wide.is_empty(), "break these lines:\n{}", wide.join("\n"));
}

#[test]
fn the_page_about_the_api_names_every_payment_rejection_and_reason() {
    let openapi = include_str!("../crates/order-intake/openapi.json");
    let openapi: serde_json::Value = serde_json::from_str(openapi).unwrap();
    let page = &documents()[Path::new("docs/api.md")];
    for schema in ["PaymentStatus", "DeclineReason", "Rejection"] {
        let values = constants(&openapi["components"]["schemas"][schema]);
        assert!(values.len() > 1, "{schema} has no values: {values:?}");
        for value in values {
            assert!(page.contains(&format!("`{value}`")), "docs/api.md: {schema} may be {value}");
        }
    }
}

/// The values of all `const`s in a schema.
fn constants(schema: &serde_json::Value) -> Vec<&str> {
    match schema {
        serde_json::Value::Object(fields) => {
            let nested = fields.values().flat_map(constants);
            fields.get("const").and_then(|value| value.as_str()).into_iter().chain(nested).collect()
        }
        serde_json::Value::Array(items) => items.iter().flat_map(constants).collect(),
        _ => Vec::new(),
    }
}

fn documents() -> BTreeMap<PathBuf, String> {
    let mut documents = files();
    documents.retain(|path, _| path.extension().is_some_and(|extension| extension == "md"));
    assert!(documents.contains_key(Path::new("README.md")), "README.md is missing");
    documents
}

/// The files of the repository, by their paths in it. Leaves out what `.gitignore` names.
fn files() -> BTreeMap<PathBuf, String> {
    let root = root();
    let mut walk = WalkBuilder::new(&root);
    walk.hidden(false).require_git(false).filter_entry(|entry| entry.file_name() != ".git");
    let entries = walk.build().map(|entry| entry.expect("a readable folder"));
    let files = entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let texts = files.filter_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        Some((file.path().strip_prefix(&root).unwrap().to_owned(), text))
    });
    texts.collect()
}

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap()
}

/// The aliases of `.cargo/config.toml`.
fn aliases(config: &str) -> BTreeSet<String> {
    let config: toml::Table = config.parse().expect(".cargo/config.toml is TOML");
    config["alias"].as_table().expect("a table of aliases").keys().cloned().collect()
}

/// The `cargo` commands of a text, such as `cargo test`. An alias has its subcommand with it, such
/// as `cargo local order`. All further arguments are left out.
fn cargo_commands(text: &str, aliases: &BTreeSet<String>) -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    for line in text.replace("\\\n", " ").lines() {
        let code = line.split(" #").next().unwrap_or_default();
        let words: Vec<_> = code.split_whitespace().collect();
        for (place, word) in words.iter().enumerate() {
            // A command may stand in a substitution: `TOKEN=$(cargo local token)`.
            if word.rsplit(['(', '`', '"']).next() != Some("cargo") {
                continue;
            }
            let next = |step: usize| {
                let word = words.get(place + step)?.trim_end_matches([')', ';', '`', '"']);
                let plain = |c: char| c.is_ascii_lowercase() || c == '-';
                (word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(plain))
                    .then_some(word)
            };
            let Some(first) = next(1) else { continue };
            let second = aliases.contains(first).then(|| next(2)).flatten();
            let command = ["cargo", first].into_iter().chain(second);
            commands.insert(command.collect::<Vec<_>>().join(" "));
        }
    }
    commands
}

/// All code of a document: blocks and spans.
fn code(document: &str) -> String {
    let mut code = String::new();
    let mut in_block = false;
    for event in parse(document) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_block = true,
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(text) if in_block => code += &text,
            Event::Code(span) => {
                code += "\n";
                code += &span;
                code += "\n";
            }
            _ => {}
        }
    }
    code
}

/// The relative links of a document, as they are written.
fn links(document: &str) -> Vec<String> {
    let targets = parse(document).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
        _ => None,
    });
    targets
        .map(String::from)
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(document: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in parse(document) {
        match (&event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::End(TagEnd::Heading(_)), Some(text)) => {
                let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
                let text = text.to_lowercase().chars().filter(kept).collect::<String>();
                anchors.insert(text.replace(' ', "-"));
                heading = None;
            }
            (Event::Text(part) | Event::Code(part), Some(text)) => text.push_str(part),
            _ => {}
        }
    }
    anchors
}

fn parse(document: &str) -> Parser<'_> {
    Parser::new_ext(document, Options::ENABLE_TABLES)
}

#[test]
fn a_command_is_read_up_to_the_subcommand_of_an_alias() {
    let aliases = BTreeSet::from(["local".to_owned()]);
    let commands = cargo_commands(
        "cargo local order --location paris\ncargo local --port 1\ncargo test # cargo build\n\
         TOKEN=$(cargo local token)\nnice cargo clippy -- \\\n  cargo fmt\ncargo install NAME",
        &aliases,
    );
    let expected = [
        "cargo clippy",
        "cargo fmt",
        "cargo install",
        "cargo local",
        "cargo local order",
        "cargo local token",
        "cargo test",
    ];
    assert_eq!(commands, expected.map(str::to_owned).into());
}
