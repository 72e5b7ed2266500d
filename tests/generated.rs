//! Files generated from the code: docs/lifecycle.md and schema.graphql must match the program. `PAUSA_BLESS=1` writes
//! them again. Every name of the API must have a description.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use apollo_compiler::Schema;
use apollo_compiler::schema::{ExtendedType, Implementers};
use pausa::task::{Event, State};
use serde_json::{Value, json};

use crate::harness::server::Server;

/// Compares a file of the project with the output of the code.
fn same(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("PAUSA_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count())) + 1;
    assert!(found == wanted, "{file} is out of date from line {line} on: run the tests with PAUSA_BLESS=1");
}

#[test]
fn the_schema_file_matches_the_code() {
    same("schema.graphql", &pausa::api::sdl());
}

#[test]
fn the_possible_types_of_the_kit_match_the_schema() {
    let implementers = parsed().implementers_map();
    let objects = |of: &Implementers| of.objects.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let wanted: BTreeMap<_, _> = implementers.iter().map(|(name, of)| (name.to_string(), objects(of))).collect();
    let found: Value = serde_json::from_str(&of_the_kit("possibleTypes.json")).unwrap();
    assert_eq!(found, json!({ "possibleTypes": wanted }), "run npm run generate in client-examples/kit");
}

/// Compares names only. `npm run check` in client-examples/kit compares everything.
#[test]
fn the_operations_of_the_kit_match_the_schema() {
    let (text, mut missing) = (of_the_kit("operations.ts"), Vec::new());
    for (name, definition) in &parsed().types {
        let Some((_, generated)) = text.split_once(&format!("export type {name} =")) else { continue };
        let generated = generated.split("\n\n").next().unwrap();
        let names: Vec<_> = match definition {
            ExtendedType::InputObject(input) => input.fields.keys().collect(),
            ExtendedType::Enum(values) => values.values.keys().collect(),
            _ => continue,
        };
        missing.extend(
            names.iter().filter(|part| !generated.contains(part.as_str())).map(|part| format!("{name}.{part}")),
        );
    }
    assert!(missing.is_empty(), "{missing:?} are missing: run npm run generate in client-examples/kit");
}

fn parsed() -> Schema {
    Schema::parse(pausa::api::sdl(), "schema.graphql").unwrap()
}

fn of_the_kit(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("client-examples/kit/src");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn the_lifecycle_page_matches_the_code() {
    let page = format!("{INTRODUCTION}{}{}{}", table(), arrows(), refusals());
    same("docs/lifecycle.md", &page);
}

const INTRODUCTION: &str = "# The lifecycle of a task

This page is generated from the transition table in `src/task/state.rs`. A test checks that both match.

A task is always in one of ten states. Every change is one transition of the table below: an event in a state leads to
the next state, or it is refused and changes nothing. SCHEDULED and QUEUED tasks wait. A node may work on a task that is
RUNNING, PAUSING, TERMINATING or FINISHING. A PAUSED task uses no node and keeps its checkpoint. COMPLETED, FAILED and
TERMINATED tasks are finished, and only a FAILED task can be resumed. Clients see FINISHING as RUNNING: the work
is done and the result is being published. If its file turns out to be missing or cannot be reached, the event is `remake`:
the run makes it again. If the task is terminated meanwhile and the result is visible already, the event is `published`. `resume early` is a resume before the start time of the task. If the node of
a task dies more than `crash_limit` times in a row without progress in between, the next run only rolls the task back and fails it. If
as many rollbacks end so too, the event is `fail` instead of `lease expired`: deleting the task rolls it back.

";

fn table() -> String {
    let mut text = String::from("## The table\n\nA dash is a refusal; `=` leaves the state as it is.\n\n| in state");
    Event::ALL.iter().for_each(|event| write!(text, " | {event}").unwrap());
    text += " |\n|---";
    Event::ALL.iter().for_each(|_| text += "|---");
    text += "|\n";
    for state in State::ALL {
        write!(text, "| **{}**", state.as_str()).unwrap();
        for event in Event::ALL {
            let next = match state.next(event) {
                Ok(next) if next == state => "=",
                Ok(next) => next.as_str(),
                Err(_) => "-",
            };
            write!(text, " | {next}").unwrap();
        }
        text += " |\n";
    }
    text
}

fn arrows() -> String {
    let mut text = String::from("\n## Every arrow\n");
    for state in State::ALL {
        let arrows: Vec<_> =
            Event::ALL.into_iter().filter_map(|event| Some((event, state.arrow(event).ok()?))).collect();
        if arrows.is_empty() {
            continue;
        }
        write!(text, "\n### From {}\n\n", state.as_str()).unwrap();
        for (event, (next, why)) in arrows {
            let leads = if next == state { "stays".to_owned() } else { format!("to {}", next.as_str()) };
            writeln!(text, "- {event}: {leads} - {why}").unwrap();
        }
    }
    text
}

fn refusals() -> String {
    let mut grouped: BTreeMap<&str, Vec<(State, Vec<Event>)>> = BTreeMap::new();
    for state in State::ALL {
        for event in Event::ALL {
            let Err(reason) = state.arrow(event) else { continue };
            let group = grouped.entry(reason).or_default();
            match group.last_mut() {
                Some((last, events)) if *last == state => events.push(event),
                _ => group.push((state, vec![event])),
            }
        }
    }
    let mut text = String::from("\n## Every refusal, by its reason\n");
    for (reason, states) in grouped {
        write!(text, "\n### \"{reason}\"\n\n").unwrap();
        for (state, events) in states {
            let events: Vec<_> = events.iter().map(ToString::to_string).collect();
            writeln!(text, "- {}: {}", state.as_str(), events.join(", ")).unwrap();
        }
    }
    text
}

const INTROSPECTION: &str = "{ __schema {
    types { kind name description
        fields(includeDeprecated: true) { name description args { name description } }
        inputFields { name description } enumValues(includeDeprecated: true) { name description } }
    directives { name description args { name description } } } }";

/// Types that the GraphQL library defines without a description. Their fields have descriptions.
const NOT_OURS: [&str; 5] = ["ID", "DatasetConnection", "RowConnection", "TaskConnection", "UploadConnection"];

#[tokio::test]
async fn every_name_of_the_api_has_a_description() {
    let server = Server::start().await;
    let schema = server.data(INTROSPECTION, json!({})).await["__schema"].take();
    let types = schema["types"].as_array().unwrap();
    assert!(types.len() > 30, "{} types", types.len());
    let mut undescribed = Vec::new();
    for described in types.iter().filter(|named| !named["name"].as_str().unwrap().starts_with("__")) {
        collect("", described, &mut undescribed);
    }
    for directive in schema["directives"].as_array().unwrap() {
        collect("@", directive, &mut undescribed);
    }
    undescribed.retain(|name| !NOT_OURS.contains(&name.as_str()));
    assert!(undescribed.is_empty(), "these have no description:\n{}", undescribed.join("\n"));
}

/// Records every name without a description: of the item itself and of everything in it.
fn collect(place: &str, described: &Value, undescribed: &mut Vec<String>) {
    let name = format!("{place}{}", described["name"].as_str().unwrap());
    if described["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
        undescribed.push(name.clone());
    }
    for part in ["fields", "inputFields", "enumValues", "args"] {
        for inner in described[part].as_array().into_iter().flatten() {
            collect(&format!("{name}."), inner, undescribed);
        }
    }
}
